"""A conversation as a document: markdown for people, JSON in OpenAI's form for programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from qwenpick.chat.messages import Message, to_openai
from qwenpick.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from qwenpick.app.chats import Chat

_SPEAKERS = {"system": "System", "user": "You", "assistant": "Answer", "tool": "Tool"}


def write(path: Path, chat: Chat) -> None:
    """Write a conversation to a new file; its ending says in which form.

    Raises:
        UsageError: The ending is neither .md nor .json, or the file cannot be made.
    """
    form = {".md": _markdown, ".json": _json}.get(path.suffix.casefold())
    if form is None:
        raise UsageError(f"{path} is neither .md nor .json.", hint="Type: /export chat.md")
    prompt = chat.session.system
    system = [Message(role="system", content=prompt)] if prompt else []
    text = form([*system, *chat.messages], chat.loaded.label)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(f"{path} exists already.", hint="Choose another name.") from None
    except OSError as error:
        raise UsageError(f"Cannot write {path}: {error.strerror}.") from None


def _markdown(messages: Sequence[Message], title: str) -> str:
    """Write it for people; thinking is left out."""
    parts = [f"# {title}"]
    for message in messages:
        parts += [f"## {_SPEAKERS[message.role]}", *("[image]" for _ in message.images)]
        parts.append(message.content)
        for call in message.tool_calls:
            shown = {"name": call.name, "arguments": call.arguments}
            parts.append(f"```json\n{json.dumps(shown, ensure_ascii=False)}\n```")
    return "\n\n".join(part for part in parts if part) + "\n"


def _json(messages: Sequence[Message], title: str) -> str:
    """Write it for programs, thinking as `reasoning_content`."""
    document = {"schema": 1, "title": title, "messages": [to_openai(one) for one in messages]}
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"
