"""Kept conversations: messages as JSON, one folder each, the engine's state beside them.

    QWENPICK_HOME/sessions/NAME/messages.json
    QWENPICK_HOME/sessions/NAME/state

The messages are written after every turn, so a crash loses at most the one in flight. A state is
only a saving of time: it is written at the end, and kept for the last few conversations.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from qwenpick.errors import UsageError
from qwenpick.home import home

STATES = 5
"""So many conversations keep their state; it takes 12 to 32 KiB a token, and 20 to 50 MB."""
_MESSAGES, _STATE = "messages.json", "state"


@dataclass(slots=True, kw_only=True)
class Session:
    """A conversation as it is kept."""

    name: str
    model: str
    """The MODEL to open it with: the file's path."""
    label: str = ""
    system: str | None = None
    messages: list[dict[str, Any]] = field(default_factory=list)
    window: int = 0
    updated: str = ""
    """ISO date and time."""

    @property
    def title(self) -> str:
        """The first thing that was said, in a line."""
        first = next((one["content"] for one in self.messages if one["role"] == "user"), "")
        text = first if isinstance(first, str) else str(first[-1].get("text", ""))
        return " ".join(text.split())

    @property
    def state_path(self) -> Path:
        """Where its state is, or would be."""
        return _folder(self.name) / _STATE

    def save(self) -> None:
        """Write the messages, whole or not at all."""
        self.updated = _now().isoformat(timespec="seconds")
        folder = _folder(self.name)
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", dir=folder, prefix=_MESSAGES, delete=False, encoding="utf-8"
        ) as file:
            json.dump(asdict(self), file, ensure_ascii=False, indent=1)
            file.flush()
            os.fsync(file.fileno())
        Path(file.name).replace(folder / _MESSAGES)


def new_name() -> str:
    """Make a name for a new conversation: the time, and a number where that is taken."""
    name = start = _now().strftime("%Y-%m-%d-%H%M%S")
    number = 1
    while _folder(name).exists():
        number += 1
        name = f"{start}-{number}"
    return name


def load(name: str) -> Session:
    """Read a kept conversation.

    Raises:
        UsageError: There is none of this name, or its file is broken.
    """
    try:
        document = json.loads((_folder(name) / _MESSAGES).read_text(encoding="utf-8"))
        session = Session(**document)
    except OSError:
        raise UsageError(
            f"There is no conversation {name!r}.", hint="See them with: qwenpick sessions"
        ) from None
    except (ValueError, TypeError):
        raise UsageError(
            f"The conversation {name!r} is broken.", hint="See others with: qwenpick sessions"
        ) from None
    session.name = name
    return session


def kept() -> list[Session]:
    """Give all kept conversations, the last used first; broken ones are left out."""
    sessions = []
    for path in _root().glob(f"*/{_MESSAGES}"):
        try:
            sessions.append(load(path.parent.name))
        except UsageError:
            continue
    return sorted(sessions, key=lambda session: session.updated, reverse=True)


def latest() -> Session:
    """Give the last used conversation.

    Raises:
        UsageError: There is none.
    """
    sessions = kept()
    if not sessions:
        raise UsageError("There is no conversation to go on with.", hint="Start one: qwenpick chat")
    return sessions[0]


def prune() -> None:
    """Drop the states of all but the last few conversations."""
    for session in kept()[STATES:]:
        session.state_path.unlink(missing_ok=True)


def check_name(name: str) -> str:
    """Check a name that a person gave.

    Raises:
        UsageError: It could leave its folder.
    """
    if not re.fullmatch(r"[\w][\w .-]{0,99}", name):
        raise UsageError(f"{name!r} is no name for a conversation.", hint="Use letters and digits.")
    return name


def _folder(name: str) -> Path:
    return _root() / check_name(name)


def _root() -> Path:
    return home() / "sessions"


def _now() -> dt.datetime:
    return dt.datetime.now().astimezone()
