"""Structured output: a JSON schema, held at every token and checked at the end.

The grammar is llguidance's: it knows bounds, patterns and recursive references, and
refuses by name what it does not know. Written values are laid out on one line as
Python's json.dumps does it, so that no model can lose itself in white space.

Holding a reply to it while it is written is constraint.py's.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from qwenpick import files
from qwenpick.errors import RunError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

_HINT = 'Name a file, or write the schema itself: --schema \'{"type": "object"}\''
_LAYOUT = {"item_separator": ", ", "key_separator": ": ", "whitespace_flexible": False}
_MAPS = {"properties", "patternProperties", "$defs", "definitions"}
"""Keywords whose values map names to schemas."""
_DATA = {"const", "enum", "default", "examples", "required"}
"""Keywords whose values are data, not schemas."""
_MERGES = {"anyOf", "oneOf", "$ref"}
"""Keywords that lay another schema's properties over those beside them."""


class Schema(Struct, frozen=True):
    """A JSON schema that can be held.

    Args:
        text: The schema as it was given.
        grammar: The same, compiled for llguidance.
    """

    text: str
    grammar: str

    def check(self, reply: str) -> None:
        """Check a whole reply, with the numbers as they are written (0.3 is 3 x 0.1).

        Raises:
            RunError: It is no JSON, or does not meet the schema.
        """
        import jsonschema

        try:
            document = json.loads(reply, parse_float=Decimal)
            rules = json.loads(self.text, parse_float=Decimal)
            kind = jsonschema.validators.validator_for(rules)
            error = jsonschema.exceptions.best_match(kind(rules).iter_errors(document))
        except (ValueError, RecursionError) as broken:
            raise _unmet(f"no JSON ({broken})") from None
        if error is not None:
            raise _unmet(f"{error.message} at {error.json_path}")


def _unmet(why: str) -> RunError:
    return RunError(
        f"The answer does not meet the schema: {why}.",
        hint="Ask again, with more --max-tokens if it was cut short.",
    )


def read_schema(given: str) -> Schema:
    """Read a schema: JSON where it starts like an object, else a file.

    Raises:
        UsageError: It cannot be read, is not a schema, or has an unsupported keyword.
    """
    what, kind = "the schema", dict[str, Any]
    if given.lstrip().startswith("{"):
        document = files.decode(given, kind, what=what, hint=_HINT)
    else:
        document = files.document(files.expanded(given), kind, what=what, hint=_HINT)
    try:
        _check_schema(document)
        return Schema(json.dumps(document), _compile(document))
    except RecursionError:
        raise UsageError("The schema is nested too deeply.", hint=_HINT) from None


def _check_schema(document: dict[str, Any]) -> None:
    """Refuse what the schema language itself does not allow, such as a wrong type's name."""
    import jsonschema

    if not isinstance(document.get("$schema", ""), str):
        raise UsageError("This is not a JSON schema: its $schema is not text.", hint=_HINT)
    kind = jsonschema.validators.validator_for(document)
    error = jsonschema.exceptions.best_match(kind(kind.META_SCHEMA).iter_errors(document))
    if error is not None:
        raise UsageError(
            f"This is not a JSON schema: {error.message} at {error.json_path}.",
            hint="See https://json-schema.org/understanding-json-schema",
        )


def _compile(document: dict[str, Any]) -> str:
    """Compile for llguidance; up to two newlines may stand before the document.

    The newlines are what Qwen writes between `</think>` and its answer.
    """
    from llguidance import LLMatcher

    rules: dict[str, Any] = json.loads(json.dumps(document))
    if not any(map(_overlays, _nodes(rules))):
        _close(rules)
    _nudge(rules)
    grammar: str = LLMatcher.grammar_from_lark(
        "start: /\\n?\\n?/ document\ndocument: %json " + json.dumps(rules | {"x-guidance": _LAYOUT})
    )
    failed, messages = LLMatcher.validate_grammar_with_warnings(grammar)
    if failed:
        raise UsageError(
            _refusal(messages[0]), hint="What is supported: docs/chat.md, under Structured output."
        )
    return grammar


def _refusal(message: str) -> str:
    """Say in a line what llguidance says in several."""
    named = re.search(r"Unimplemented keys: (\[[^\]]*\])", message)
    if named:
        keys = json.loads(named[1])
        return f"The schema uses {', '.join(keys)}, which cannot be enforced."
    if "oneOf" in message:
        return "The schema has oneOf over alternatives that overlap; use anyOf."
    lines = [line.strip() for line in message.splitlines() if line.strip(" ^")]
    reason = next((line for line in reversed(lines) if "error" in line.casefold()), lines[0])
    reason = reason.removeprefix("error: ").partition("compile JSON schema: ")[2] or reason
    return f"The schema cannot be enforced: {reason.removeprefix('error: ')}."


def _nodes(node: object) -> Iterator[dict[str, Any]]:
    """Walk the schemas inside a schema, itself first."""
    if not isinstance(node, dict):
        return
    yield node
    for key, value in node.items():
        if key in _DATA:
            continue
        inner = value.values() if key in _MAPS and isinstance(value, dict) else [value]
        for item in inner:
            for schema in item if isinstance(item, list) else [item]:
                yield from _nodes(schema)


def _overlays(node: dict[str, Any]) -> bool:
    """Say whether several schemas speak of one object, so that none of them can be closed."""
    return "allOf" in node or ("properties" in node and bool(_MERGES & set(node)))


def _close(rules: dict[str, Any]) -> None:
    """Close each object that names its properties: what is not named is not made up.

    A schema leaves objects open, and a small model then invents keys until its tokens
    run out. What meets the closed schema meets the open one too.
    """
    for node in _nodes(rules):
        named = node.get("properties")
        if (
            isinstance(named, dict)
            and set(node.get("required", ())) <= set(named)
            and len(named) >= node.get("minProperties", 0)
            and not {"additionalProperties", "patternProperties"} & set(node)
        ):
            node["additionalProperties"] = False


def _nudge(rules: dict[str, Any]) -> None:
    """Move an excluded whole bound by a millionth where the other bound is less than 1 away.

    llguidance 1.9.1 lets the excluded bound itself through there, and only there: "0" for
    above 0 and at most 0.5 (compared with jsonschema over 40,800 pairs of bounds and values).
    """
    for node in _nodes(rules):
        for excluded, included, step in (
            ("exclusiveMinimum", "minimum", 1e-6),
            ("exclusiveMaximum", "maximum", -1e-6),
        ):
            bound = node.get(excluded)
            others = [value for key, value in node.items() if key.lower().endswith("imum")]
            if isinstance(bound, (int, float)) and any(0 < abs(n - bound) < 1 for n in others):
                del node[excluded]
                node[included] = bound + step
