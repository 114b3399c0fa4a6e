"""Tool calls: Qwen's XML form, read back while it streams.

    <tool_call>
    <function=NAME>
    <parameter=KEY>
    value
    </parameter>
    </function>
    </tool_call>

The form is that of Qwen3.5's chat template, which writes a call's values unescaped: a
list or a table as JSON, all else as Python's str() has it (True, None). What a value was
is therefore read from the tool's own schema. Text, no I/O; rendering is the template's.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, TypeAlias

from msgspec import Struct

from qwenpick.chat.messages import ToolCall
from qwenpick.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qwenpick.chat.generation_config import Tool

Json: TypeAlias = Any
"""Any value that JSON has."""

_OPEN = "<tool_call>"
# A value may hold any of the tags, so a call ends only where all that is open closes in turn.
_END = re.compile(r"(?:</parameter>|<function=[^>\n]+>)\s*</function>\s*</tool_call>")
_FUNCTION = re.compile(
    r"\s*<function=([^>\n]+)>(.*?)(?:</function>\s*)?(?:</tool_call>)?\s*", re.DOTALL
)
_PARAMETER = re.compile(
    r"<parameter=([^>\n]+)>\n?(.*?)\n?(?:</parameter>\s*)?(?=<parameter=[^>\n]+>\n|\Z)", re.DOTALL
)
_WORDS = {"True": True, "False": False, "None": None}


def read_tools(text: str) -> tuple[Tool, ...]:
    """Read a file of tools in OpenAI's form: a list of functions with their parameters.

    Raises:
        UsageError: It is not JSON, or not of this form.
    """
    try:
        document = json.loads(text)
        listed = document if isinstance(document, list) else document["tools"]
        tools = tuple(
            tool if "function" in tool else {"type": "function", "function": tool}
            for tool in listed
        )
        names = [str(tool["function"]["name"]) for tool in tools]
        if not all(re.fullmatch(r"[\w.:-]+", name) for name in names):
            raise ValueError("a function has no usable name")  # noqa: TRY301 - said below
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"These are not tools in OpenAI's form: {error}.",
            hint='[{"type": "function", "function": {"name": "...", "parameters": {...}}}]',
        ) from None
    return tools


class ToolCallParser(Struct):
    """Takes an answer piece by piece, lets its text through, and keeps its calls.

    Args:
        tools: What the model was offered; their schemas say what a value is.
    """

    tools: Sequence[Tool] = ()
    calls: list[ToolCall] = []
    _held: str = ""

    def feed(self, piece: str) -> str:
        """Take a piece; give the text that is surely no part of a call."""
        self._held += piece
        shown = ""
        while True:
            before, tag, inside = self._held.partition(_OPEN)
            if not tag:
                kept = _possible_start(self._held)
                shown += self._text(self._held[: len(self._held) - kept])
                self._held = self._held[len(self._held) - kept :]
                return shown
            shown += self._text(before)
            end = _END.search(inside)
            self._held = tag + inside
            if end is None:
                return shown
            shown += self._take(inside[: end.end()])
            self._held = inside[end.end() :]

    def finish(self) -> str:
        """End the answer; give what is left of its text, broken calls as they stand."""
        held, self._held = self._held, ""
        if not held.startswith(_OPEN):
            return self._text(held)
        bodies = held.removeprefix(_OPEN).split(_OPEN)
        return "".join(self._take(body) for body in bodies)

    def _text(self, text: str) -> str:
        """Drop the white space that stands between calls, and after the last."""
        return text if not self.calls or text.strip() else ""

    def _take(self, body: str) -> str:
        """Keep one call, complete or with its closing tags missing; give it back if broken."""
        match = _FUNCTION.fullmatch(body)
        if match is None:
            broken, tag, rest = body.partition(_OPEN)
            return _OPEN + broken + (self._take(rest) if tag else "")
        name, inside = match[1].strip(), match[2]
        kinds = _kinds(self.tools, name)
        arguments = {
            key.strip(): _value(value, kinds.get(key.strip(), frozenset()))
            for key, value in _PARAMETER.findall(inside)
        }
        self.calls.append(ToolCall(id=f"call_{len(self.calls)}", name=name, arguments=arguments))
        return ""


def _possible_start(text: str) -> int:
    """Count the characters at the end that may be the start of a call's tag."""
    return next((size for size in range(len(_OPEN) - 1, 0, -1) if text.endswith(_OPEN[:size])), 0)


def _kinds(tools: Sequence[Tool], name: str) -> dict[str, frozenset[str]]:
    """Say which JSON types each parameter of a tool may have; none where it does not say."""
    for tool in tools:
        function = tool["function"]
        if function["name"] == name:
            properties = (function.get("parameters") or {}).get("properties") or {}
            return {key: _types(schema) for key, schema in properties.items()}
    return {}


def _types(schema: Json) -> frozenset[str]:
    if not isinstance(schema, dict):
        return frozenset()
    named = schema.get("type", ())
    types: set[str] = {named} if isinstance(named, str) else set(named)
    for inner in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
        types |= _types(inner)
    types |= {"string" for item in schema.get("enum", ()) if isinstance(item, str)}
    return frozenset(types)


def _value(text: str, types: frozenset[str]) -> Json:
    """Read a value as what its schema calls it; as text where that does not hold."""
    if types == frozenset({"string"}):
        return text
    try:
        value = _WORDS[text] if text in _WORDS else json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return text
    if "string" in types and _type(value) not in types:
        return text
    return text if isinstance(value, str) else value


def _type(value: object) -> str:
    """Name the JSON type of a value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def _refuse(word: str) -> None:
    raise ValueError(word)
