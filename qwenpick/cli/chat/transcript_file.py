"""A conversation as a document: markdown for people, JSON in OpenAI's form for programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from qwenpick.chat.messages import PLACE, text_of
from qwenpick.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    Message = Mapping[str, Any]

_SPEAKERS = {"system": "System", "user": "You", "assistant": "Answer", "tool": "Tool"}


def write(path: Path, messages: Sequence[Message], *, title: str) -> None:
    """Write a conversation to a file that is not there yet; its ending says in which form.

    Raises:
        UsageError: The ending is neither .md nor .json, or the file can't be made.
    """
    forms = {".md": as_markdown, ".json": as_json}
    form = forms.get(path.suffix.casefold())
    if form is None:
        raise UsageError(f"{path} is neither .md nor .json.", hint="Type: /export chat.md")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(form(messages, title=title))
    except FileExistsError:
        raise UsageError(f"{path} is there already.", hint="Name another file.") from None
    except OSError as error:
        raise UsageError(f"{path} can't be written: {error.strerror}.") from None


def as_markdown(messages: Sequence[Message], *, title: str) -> str:
    """Write it for people; thinking is left out."""
    parts = [f"# {title}"]
    for message in messages:
        parts.append(f"## {_SPEAKERS.get(message['role'], message['role'])}")
        parts.append(text_of(message, place=PLACE))
        parts += [
            f"```json\n{json.dumps(call['function'], ensure_ascii=False)}\n```"
            for call in message.get("tool_calls", ())
        ]
    return "\n\n".join(part for part in parts if part) + "\n"


def as_json(messages: Sequence[Message], *, title: str) -> str:
    """Write it for programs, thinking as `reasoning_content`."""
    document = {"schema": 1, "title": title, "messages": list(messages)}
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"
