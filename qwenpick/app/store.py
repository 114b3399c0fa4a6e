"""Saved conversations: messages as JSON, one folder each, the engine's state beside them.

    QWENPICK_HOME/sessions/NAME/messages.json
    QWENPICK_HOME/sessions/NAME/KEY.png         each image that was shown
    QWENPICK_HOME/sessions/NAME/state

The messages are written after every turn, images before them, so a crash loses at most the turn
under way. A state only saves time: it is written at the end, and kept for the last few sessions.
Two processes may have one session open: a file that another one has changed is never overwritten;
the conversation gets a folder of its own then.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import itertools
import re
import shutil
import time
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta, Struct, field
from msgspec.structs import asdict, replace

from qwenpick import files, units
from qwenpick.chat.messages import Message, from_openai
from qwenpick.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_WORDS, _LONGEST_NAME, _NAME_BYTES = 6, 40, 200
_LARGEST = 64 << 20
"""Bytes of a session's file, and of an image."""
_DAY = 86_400
STATES = 5
"""How many sessions keep their state: it takes 12 to 32 KiB a token, and 20 to 50 MB."""
_FORMAT = 2
_NEVER = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_SEE = "See the saved conversations: qwenpick sessions"


class Session(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A conversation: what is saved, and where."""

    format: int = 1
    model: str
    """The MODEL to open it with: the file's path."""
    label: str = ""
    system: str | None = None
    messages: tuple[Message, ...] = ()
    first_visible: Annotated[int, Meta(ge=0)] = field(default=0, name="window")
    """The first message that the model still sees."""
    context: int = 0
    """Tokens of the context that it was last held in, 0 where that is unknown."""
    updated: dt.datetime = _NEVER
    """When it was saved: an instant, whatever the time zone."""
    name: str = ""
    """Its folder; empty until it is saved or named."""
    digest: str = ""
    """The sha256 of its file, as it was last read or written here; not a part of the file."""

    @property
    def title(self) -> str:
        """The person's first message, in one line."""
        first = next((one.content for one in self.messages if one.role == "user"), "")
        return " ".join(first.split())

    @property
    def image_keys(self) -> list[str]:
        """The keys of its images, each once."""
        return list(dict.fromkeys(key for one in self.messages for key in one.images))


class _Version(Struct):
    format: int = 1


class _First(Session, frozen=True, kw_only=True):
    """The form of version 0.1: messages in OpenAI's form."""

    messages: list[dict[str, Any]]  # type: ignore[assignment]


class Broken(Struct, frozen=True, kw_only=True):
    """A session whose file cannot be used."""

    name: str
    problem: str


def save(session: Session, png: Callable[[str], bytes | None]) -> Session:
    """Write a session, whole or not at all; one without a name gets one.

    Args:
        session: What to write.
        png: Gives the file of an image by its key, None where it is missing.

    Returns:
        The session as it is on disk now: under another name where its file was changed by
        somebody else since it was read.

    Raises:
        OSError: It cannot be written.
    """
    now = dt.datetime.now(dt.UTC)
    name = session.name or _new_folder(_first_words(session.title, now))
    for key in session.image_keys:
        place = _image_path(name, key)
        if not place.exists() and (image := png(key)):
            files.write(place, image)
    session = replace(session, format=_FORMAT, name=name, updated=now)
    data = msgspec.json.format(msgspec.json.encode(replace(session, digest="")), indent=1)
    path = _folder(name) / "messages.json"
    with files.locked(path):
        ours = not path.is_file() or _sha256(path.read_bytes()) == session.digest
        if ours:
            files.write(path, data)
    if not ours:
        return save(replace(session, name=_new_folder(name), digest=""), png)
    return replace(session, digest=_sha256(data))


def load(name: str) -> Session:
    """Read a saved session.

    Raises:
        UsageError: There is none of this name, or its file is broken.
    """
    path = _folder(name) / "messages.json"
    if not path.parent.is_dir():
        raise _unknown(name)
    data, what = files.read(path, limit=_LARGEST), f"the session {name!r}"
    if files.decode(data, _Version, what=what, hint=_SEE).format == 1:
        first = files.decode(data, _First, what=what, hint=_SEE)
        messages = tuple(map(from_openai, first.messages))
        session = Session(**asdict(first) | {"messages": messages})
    else:
        session = files.decode(data, Session, what=what, hint=_SEE)
    updated = session.updated
    return replace(
        session,
        name=name,
        first_visible=min(session.first_visible, len(session.messages)),
        updated=updated if updated.tzinfo else updated.replace(tzinfo=dt.UTC),
        digest=_sha256(data),
    )


def listed() -> tuple[list[Session], list[Broken]]:
    """Give all saved sessions, the last used first, and those that are broken, by name."""
    good, broken = [], []
    for path in sorted(_root().glob("*/messages.json")):
        try:
            good.append(load(path.parent.name))
        except UsageError as error:
            broken.append(Broken(name=path.parent.name, problem=error.message))
    return sorted(good, key=lambda session: session.updated, reverse=True), broken


def latest() -> Session:
    """Give the session that was used last, of those that are not broken.

    Raises:
        UsageError: There is none.
    """
    sessions, _ = listed()
    if not sessions:
        raise UsageError("There is no saved conversation.", hint="Start one: qwenpick chat")
    return sessions[0]


def rename(session: Session, name: str) -> Session:
    """Give a session another name; where it is saved, its folder moves.

    Raises:
        UsageError: The name cannot be used, or is taken.
        OSError: The folder cannot be moved.
    """
    place = _folder(name)
    if name == session.name:
        return session
    if place.exists():
        raise UsageError(f"There is a session {name!r} already.", hint="Choose another name.")
    saved = bool(session.name) and _folder(session.name).is_dir()
    if saved:
        _folder(session.name).rename(place)
    return replace(session, name=name, digest=session.digest if saved else "")


def about(name: str) -> str:
    """Say in a few words what a session is, broken or not.

    Raises:
        UsageError: There is none of this name.
    """
    folder = _folder(name)
    if folder.is_symlink():
        return "a link to another folder; only the link is removed"
    if not folder.is_dir():
        raise _unknown(name)
    try:
        session = load(name)
    except UsageError as error:
        return error.message
    return f"{units.count(len(session.messages), 'message')}, {session.title[:40]!r}"


def remove(name: str) -> None:
    """Remove a session, with its images and its state; of a link, the link alone.

    Raises:
        UsageError: There is none of this name, or the system refuses.
    """
    folder = _folder(name)
    try:
        if folder.is_symlink():
            folder.unlink()
        elif folder.is_dir():
            shutil.rmtree(folder)
        else:
            raise _unknown(name)
    except OSError as error:
        raise UsageError(f"Cannot remove the session {name!r}: {error.strerror}.") from None


def prune() -> None:
    """Remove the states of all but the last sessions, and drafts that a killed process left.

    Raises:
        OSError: The system refuses.
    """
    for session in listed()[0][STATES:]:
        state_path(session.name).unlink(missing_ok=True)
    for draft in _root().glob("*/.draft-*"):
        if draft.lstat().st_mtime < time.time() - _DAY:
            draft.unlink(missing_ok=True)


def state_path(name: str) -> Path:
    """Give the place of a session's state, whether it is there or not."""
    return _folder(name) / "state"


def image(name: str, key: str) -> bytes | None:
    """Give the file of an image that a session showed, None where it cannot be read."""
    try:
        return files.read(_image_path(name, key), limit=_LARGEST)
    except UsageError:
        return None


def _image_path(name: str, key: str) -> Path:
    """Name an image's file; a key that is not a digest has none."""
    return _folder(name) / f"{key if re.fullmatch('[0-9a-f]{64}', key) else '-'}.png"


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _first_words(title: str, now: dt.datetime) -> str:
    """Name a session by its first words, or else by the time."""
    words = "-".join(re.findall(r"\w+", title.casefold())[:_WORDS])[:_LONGEST_NAME]
    return words.strip("-_") or f"{now.astimezone():%Y-%m-%d-%H%M%S}"


def _new_folder(start: str) -> str:
    """Make a folder that was not there, named *start* or with a number behind it."""
    files.folder(_root())
    for number in itertools.count(1):
        name = start if number == 1 else f"{start[: _LONGEST_NAME + 10]}-{number}"
        try:
            _folder(name).mkdir(mode=0o700)
        except FileExistsError:
            continue
        return name
    raise AssertionError


def _folder(name: str) -> Path:
    """Give the folder of a session.

    Raises:
        UsageError: The name could leave its folder, or is too long.
    """
    if not re.fullmatch(r"[\w][\w .-]{0,99}", name) or len(name.encode()) > _NAME_BYTES:
        raise UsageError(
            f"{files.shortened(name)!r} cannot be the name of a session.",
            hint="Use letters, digits, spaces, dots and dashes.",
        )
    return _root() / name


def _unknown(name: str) -> UsageError:
    return UsageError(f"There is no session {name!r}.", hint=_SEE)


def _root() -> Path:
    return files.home() / "sessions"
