"""Saved conversations: messages as JSON, one folder each, the engine's state beside them.

    QWENPICK_HOME/sessions/NAME/messages.json
    QWENPICK_HOME/sessions/NAME/KEY.png         each picture that was shown
    QWENPICK_HOME/sessions/NAME/state

The messages are written after every turn, pictures before them, so a crash loses at most the one
in flight. A state is only a saving of time: it is written at the end, and kept for the last few
conversations. A conversation is named by its first words.
"""

from __future__ import annotations

import datetime as dt
import itertools
import json
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field, to_builtins

from qwenpick.chat.messages import text_of
from qwenpick.errors import UsageError
from qwenpick.files import home

if TYPE_CHECKING:
    from collections.abc import Callable

_WORDS, _LONGEST_NAME = 6, 40
STATES = 5
"""So many conversations keep their state; it takes 12 to 32 KiB a token, and 20 to 50 MB."""
_MESSAGES, _STATE = "messages.json", "state"


class Session(Struct, kw_only=True):
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
        first = next((text_of(one) for one in self.messages if one["role"] == "user"), "")
        return " ".join(first.split())

    @property
    def state_path(self) -> Path:
        """Where its state is, or would be."""
        return _folder(self.name) / _STATE

    def save(self) -> None:
        """Write the messages, whole or not at all; a conversation without a name gets one."""
        self.updated = _now().isoformat(timespec="seconds")
        self.name = self.name or _new_name(self.title)
        document = json.dumps(to_builtins(self), ensure_ascii=False, indent=1)
        _write(_folder(self.name) / _MESSAGES, document.encode())

    def rename(self, name: str) -> None:
        """Call it by a name of a person's; where it was kept before, it moves.

        Raises:
            UsageError: The name can't be had.
        """
        place = _folder(name)
        if name != self.name and place.exists():
            raise UsageError(
                f"There is a conversation {name!r} already.", hint="Name it otherwise."
            )
        if self.name and _folder(self.name).is_dir():
            _folder(self.name).rename(place)
        self.name = name

    def picture(self, key: str) -> bytes | None:
        """Give the file of a picture that was kept, None where it is not there any more."""
        try:
            return self._picture_path(key).read_bytes()
        except OSError:
            return None

    def keep_picture(self, key: str, file: Callable[[], bytes]) -> None:
        """Write a picture that was not written yet, whole or not at all."""
        self.name = self.name or _new_name(self.title)
        path = self._picture_path(key)
        if not path.exists():
            _write(path, file())

    def _picture_path(self, key: str) -> Path:
        """Name a picture's file; a key that is no digest has none."""
        return _folder(self.name) / f"{key if re.fullmatch('[0-9a-f]{64}', key) else '-'}.png"


def _new_name(title: str) -> str:
    """Make a folder for a new conversation, named by its first words, or else by the time."""
    words = re.findall(r"\w+", title.casefold())[:_WORDS]
    start = "-".join(words)[:_LONGEST_NAME].strip("-_") or _now().strftime("%Y-%m-%d-%H%M%S")
    for number in itertools.count(1):
        name = start if number == 1 else f"{start}-{number}"
        try:
            _folder(name).mkdir(parents=True)
        except FileExistsError:
            continue
        return name
    raise AssertionError


def load(name: str) -> Session:
    """Read a kept conversation.

    Raises:
        UsageError: There is none of this name, or its file is broken.
    """
    try:
        document = json.loads((_folder(name) / _MESSAGES).read_text(encoding="utf-8"))
        session = Session(**document)
    except OSError:
        raise _unknown(name) from None
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


def about(name: str) -> str:
    """Say in a few words what a conversation is; a broken one is one, too.

    Raises:
        UsageError: There is none of this name.
    """
    if not _folder(name).is_dir():
        raise _unknown(name)
    try:
        session = load(name)
    except UsageError as error:
        return error.message
    return f"{len(session.messages)} messages, {session.title[:40]!r}"


def remove(name: str) -> None:
    """Remove a conversation, with its pictures and its state.

    Raises:
        UsageError: There is none of this name.
    """
    if not _folder(name).is_dir():
        raise _unknown(name)
    shutil.rmtree(_folder(name))


def check_name(name: str) -> str:
    """Check a name that a person gave.

    Raises:
        UsageError: It could leave its folder.
    """
    if not re.fullmatch(r"[\w][\w .-]{0,99}", name):
        raise UsageError(f"{name!r} is no name for a conversation.", hint="Use letters and digits.")
    return name


def _unknown(name: str) -> UsageError:
    return UsageError(
        f"There is no conversation {name!r}.", hint="See them with: qwenpick sessions"
    )


def _write(path: Path, data: bytes) -> None:
    """Write a file whole or not at all: beside, synced, renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.name, delete=False) as file:
        try:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        except OSError:
            Path(file.name).unlink()
            raise
    Path(file.name).replace(path)


def _folder(name: str) -> Path:
    return _root() / check_name(name)


def _root() -> Path:
    return home() / "sessions"


def _now() -> dt.datetime:
    return dt.datetime.now().astimezone()
