"""What a message holds: text, and pictures by their keys, in the form of chat templates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence

    Message = Mapping[str, Any]

PLACE = "[picture]"
"""What stands for a picture where there are only words."""


def with_pictures(text: str, keys: Sequence[str]) -> str | list[dict[str, str]]:
    """Give a message's content: its pictures, and then its text."""
    if not keys:
        return text
    return [*({"type": "image", "image": key} for key in keys), {"type": "text", "text": text}]


def pictures_of(message: Message) -> list[str]:
    """Give the keys of a message's pictures."""
    content = message["content"]
    parts = [] if isinstance(content, str) else content
    return [part["image"] for part in parts if part["type"] == "image"]


def text_of(message: Message, *, place: str = "") -> str:
    """Give a message's text, and *place* for each picture."""
    content = message["content"]
    if isinstance(content, str):
        return content
    return "\n".join(filter(None, (part.get("text") or place for part in content)))


def seen(message: Message, known: Container[str]) -> Message:
    """Give a message as the model is to have it: a word for each picture that is not *known*."""
    keys = pictures_of(message)
    if not keys or all(key in known for key in keys):
        return message
    words = [PLACE for key in keys if key not in known]
    text = "\n".join([*words, text_of(message)])
    return {**message, "content": with_pictures(text, [key for key in keys if key in known])}
