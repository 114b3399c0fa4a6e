"""What a conversation holds: messages and tool calls, and their form in OpenAI's API.

Pure data. An image is named by its key; whoever shows it to a model has its pixels.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct, ValidationError, convert, json

from qwenpick.errors import UsageError

Role = Literal["system", "user", "assistant", "tool"]
PLACE = "[image]"
"""What stands for an image where there are only words."""


class ToolCall(Struct, frozen=True, kw_only=True):
    """One call that the model asks for."""

    id: str
    name: str
    arguments: dict[str, Any]

    def __str__(self) -> str:
        """Say it in a line."""
        return f"calls {self.name} {json.encode(self.arguments).decode()}"

    def to_openai(self) -> dict[str, Any]:
        """Give it in OpenAI's form, the arguments as JSON text."""
        arguments = json.encode(self.arguments).decode()
        function = {"name": self.name, "arguments": arguments}
        return {"id": self.id, "type": "function", "function": function}


class Message(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One message of a conversation."""

    role: Role
    content: str = ""
    images: tuple[str, ...] = ()
    """Keys of the images that are shown before the text."""
    reasoning: str = ""
    """What the model thought before this answer; the next prompt leaves it out."""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    """Of a tool's message: the call that it answers."""


def to_openai(message: Message) -> dict[str, Any]:
    """Give a message in OpenAI's form, images by their keys, reasoning as `reasoning_content`."""
    content: str | list[dict[str, str]] = message.content
    if message.images:
        images = [{"type": "image", "image": key} for key in message.images]
        content = [*images, {"type": "text", "text": message.content}]
    document: dict[str, Any] = {"role": message.role, "content": content}
    if message.reasoning:
        document["reasoning_content"] = message.reasoning
    if message.tool_calls:
        document["tool_calls"] = [call.to_openai() for call in message.tool_calls]
    if message.tool_call_id is not None:
        document["tool_call_id"] = message.tool_call_id
    return document


class _Part(Struct):
    type: str
    text: str = ""
    image: str = ""


class _Function(Struct):
    name: str
    arguments: dict[str, Any] | str = {}


class _Call(Struct):
    function: _Function
    id: str = ""


class _OpenAI(Struct):
    """A message as OpenAI's API and this project's files have it."""

    role: Role
    content: str | list[_Part] | None = ""
    reasoning_content: str | None = ""
    tool_calls: list[_Call] = []
    tool_call_id: str | None = None


def from_openai(document: object) -> Message:
    """Read a message in OpenAI's form.

    Raises:
        UsageError: It is not one; says where and why.
    """
    try:
        read = convert(document, _OpenAI)
        calls = tuple(
            ToolCall(
                id=call.id,
                name=call.function.name,
                arguments=json.decode(call.function.arguments or "{}", type=dict[str, Any])
                if isinstance(call.function.arguments, str)
                else call.function.arguments,
            )
            for call in read.tool_calls
        )
    except (ValidationError, ValueError) as error:
        raise UsageError(f"This is not a message: {error}.") from None
    parts = read.content if isinstance(read.content, list) else []
    text = read.content if isinstance(read.content, str) else ""
    return Message(
        role=read.role,
        content=text or "\n".join(part.text for part in parts if part.text),
        images=tuple(part.image for part in parts if part.image),
        reasoning=read.reasoning_content or "",
        tool_calls=calls,
        tool_call_id=read.tool_call_id,
    )
