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
is therefore read from the tool's own schema. Rendering is the template's.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from msgspec import Meta, Struct, ValidationError, convert

from qwenpick import files
from qwenpick.chat.messages import ToolCall
from qwenpick.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

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


class _Value(Struct, rename="camel"):
    """What a parameter's schema says of its type; all else in it is the model's to read."""

    type: str | list[str] = []
    any_of: list[_Value | bool] = []
    one_of: list[_Value | bool] = []
    enum: list[Json] = []

    def types(self) -> frozenset[str]:
        """Give the JSON types that a value may have; none where it does not say."""
        types = {self.type} if isinstance(self.type, str) else set(self.type)
        for inner in (*self.any_of, *self.one_of):
            types |= inner.types() if isinstance(inner, _Value) else set()
        return frozenset(types | {"string" for item in self.enum if isinstance(item, str)})


class _Parameters(Struct):
    properties: dict[str, _Value | bool] = {}


class _Function(Struct):
    name: Annotated[str, Meta(pattern=r"^[\w.:-]+$")]
    parameters: _Parameters | None = None


class _Tool(Struct):
    function: _Function


def read_tools(path: Path) -> tuple[Tool, ...]:
    """Read a file of tools; see `check_tools`.

    Raises:
        UsageError: It cannot be read, or is not of this form.
    """
    return check_tools(files.document(files.expanded(path), object, what="the tools file"))


def check_tools(document: Json) -> tuple[Tool, ...]:
    """Check tools in OpenAI's form: a list of functions with their parameters.

    Raises:
        UsageError: They are not of this form; says where.
    """
    wrapped = isinstance(document, dict) and "tools" in document
    try:
        listed = convert(document["tools"] if wrapped else document, list[dict[str, Json]])
        tools = tuple(
            tool if "function" in tool else {"type": "function", "function": tool}
            for tool in listed
        )
        convert(tools, tuple[_Tool, ...])
    except (ValidationError, RecursionError) as error:
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
        types = _types(self.tools, name)
        arguments = {
            key.strip(): _value(value, types.get(key.strip(), frozenset()))
            for key, value in _PARAMETER.findall(inside)
        }
        self.calls.append(ToolCall(id=f"call_{len(self.calls)}", name=name, arguments=arguments))
        return ""


def _possible_start(text: str) -> int:
    """Count the characters at the end that may be the start of a call's tag."""
    return next((size for size in range(len(_OPEN) - 1, 0, -1) if text.endswith(_OPEN[:size])), 0)


def _types(tools: Sequence[Tool], name: str) -> dict[str, frozenset[str]]:
    """Say which JSON types each parameter of a tool may have."""
    for tool in convert(tools, list[_Tool]):
        if tool.function.name == name and tool.function.parameters:
            named = tool.function.parameters.properties
            return {key: one.types() for key, one in named.items() if isinstance(one, _Value)}
    return {}


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
