"""Saved conversations: messages as JSON, one folder each, the engine's state beside them.

    QWENPICK_HOME/sessions/NAME/messages.json
    QWENPICK_HOME/sessions/NAME/KEY.png         each image that was shown
    QWENPICK_HOME/sessions/NAME/state

The messages are written after every turn, images before them, so a crash loses at most the one
in flight. A state only saves time: it is written at the end, and kept for the last few sessions.
A session is named by its first words. Two processes may have one open: a file that somebody else
has changed is never overwritten; what is to be saved gets a folder of its own then.
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
from msgspec import Meta, Struct
from msgspec.structs import replace

from qwenpick import files
from qwenpick.chat.messages import Message, from_openai, to_openai
from qwenpick.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_WORDS, _LONGEST_NAME = 6, 40
_NAME_BYTES = 200
_LARGEST = 64 << 20
"""Bytes of a session's file, and of an image."""
_DAY = 86_400
STATES = 5
"""How many sessions keep their state: it takes 12 to 32 KiB a token, and 20 to 50 MB."""
_MESSAGES, _STATE = "messages.json", "state"
_NEVER = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_SEE_OTHERS = "See the saved conversations: qwenpick sessions"


class Session(Struct, frozen=True, kw_only=True):
    """A conversation, and where it is saved."""

    name: str = ""
    """Its folder; empty until it is saved or named."""
    model: str
    """The MODEL to open it with: the file's path."""
    label: str = ""
    system: str | None = None
    messages: tuple[Message, ...] = ()
    first_visible: int = 0
    """The first message that the model still sees."""
    context: int = 0
    """Tokens of the context that it was last held in, 0 where that is unknown."""
    updated: dt.datetime = _NEVER
    """When it was saved: an instant, whatever the time zone."""
    digest: str = ""
    """The sha256 of its file, as it was last read or written here."""

    @property
    def title(self) -> str:
        """The first message of the person's, in one line."""
        first = next((one.content for one in self.messages if one.role == "user"), "")
        return " ".join(first.split())

    @property
    def image_keys(self) -> list[str]:
        """The keys of its images, each once."""
        return list(dict.fromkeys(key for one in self.messages for key in one.images))


class Broken(Struct, frozen=True, kw_only=True):
    """A session whose file cannot be used."""

    name: str
    problem: str


class _Document(Struct, frozen=True, kw_only=True):
    """What is on disk; `window` is what version 0.1 calls `first_visible`."""

    model: str
    label: str = ""
    system: str | None = None
    messages: list[dict[str, Any]]
    window: Annotated[int, Meta(ge=0)] = 0
    context: int = 0
    updated: dt.datetime = _NEVER


def save(session: Session, png: Callable[[str], bytes | None]) -> Session:
    """Write a session, whole or not at all.

    Args:
        session: One without a name gets one.
        png: Gives the file of an image by its key, None where it is not there.

    Returns:
        The session as it is on disk now: under another name where its file was changed by
        somebody else since it was read.

    Raises:
        OSError: It cannot be written.
    """
    if not session.name:
        session = replace(session, name=_new_folder(_first_words(session.title)))
    _save_images(session, png)
    session = replace(session, updated=dt.datetime.now(dt.UTC))
    document = _Document(
        model=session.model,
        label=session.label,
        system=session.system,
        messages=[to_openai(message) for message in session.messages],
        window=session.first_visible,
        context=session.context,
        updated=session.updated,
    )
    data = msgspec.json.format(msgspec.json.encode(document), indent=1)
    path = _folder(session.name) / _MESSAGES
    with files.locked(path):
        changed = _digest(path) not in {"", session.digest}
        if not changed:
            files.write(path, data)
    if changed:
        return save(replace(session, name=_new_folder(session.name), digest=""), png)
    return replace(session, digest=hashlib.sha256(data).hexdigest())


def load(name: str) -> Session:
    """Read a saved session.

    Raises:
        UsageError: There is none of this name, or its file is broken.
    """
    path = _folder(name) / _MESSAGES
    if not path.parent.is_dir():
        raise _unknown(name)
    what = f"the session {name!r}"
    data = files.read(path, limit=_LARGEST)
    document = files.decode(data, _Document, what=what, hint=_SEE_OTHERS)
    updated = document.updated
    return Session(
        name=name,
        model=document.model,
        label=document.label,
        system=document.system,
        messages=tuple(map(from_openai, document.messages)),
        first_visible=min(document.window, len(document.messages)),
        context=document.context,
        updated=updated if updated.tzinfo else updated.replace(tzinfo=dt.UTC),
        digest=hashlib.sha256(data).hexdigest(),
    )


def listed() -> tuple[list[Session], list[Broken]]:
    """Give all saved sessions, the last used first, and those that are broken, by name."""
    good, broken = [], []
    for path in sorted(_root().glob(f"*/{_MESSAGES}")):
        name = path.parent.name
        try:
            good.append(load(name))
        except UsageError as error:
            broken.append(Broken(name=name, problem=error.message))
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
    if session.name and _folder(session.name).is_dir():
        _folder(session.name).rename(place)
        return replace(session, name=name)
    return replace(session, name=name, digest="")


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
    count = len(session.messages)
    return f"{count} message{'' if count == 1 else 's'}, {session.title[:40]!r}"


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
        raise UsageError(
            f"Cannot remove the session {name!r}: {error.strerror}.", hint="Check its rights."
        ) from None


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
    return _folder(name) / _STATE


def image(name: str, key: str) -> bytes | None:
    """Give the file of an image that a session showed, None where it cannot be read."""
    try:
        return files.read(_image_path(name, key), limit=_LARGEST)
    except UsageError:
        return None


def _save_images(session: Session, png: Callable[[str], bytes | None]) -> None:
    for key in session.image_keys:
        path = _image_path(session.name, key)
        if not path.exists() and (data := png(key)):
            files.write(path, data)


def _image_path(name: str, key: str) -> Path:
    """Name an image's file; a key that is not a digest has none."""
    return _folder(name) / f"{key if re.fullmatch('[0-9a-f]{64}', key) else '-'}.png"


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def _first_words(title: str) -> str:
    words = re.findall(r"\w+", title.casefold())[:_WORDS]
    named = "-".join(words)[:_LONGEST_NAME].strip("-_")
    return named or dt.datetime.now().astimezone().strftime("%Y-%m-%d-%H%M%S")


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
        UsageError: It is not a name for one: it could leave its folder, or is too long.
    """
    if not re.fullmatch(r"[\w][\w .-]{0,99}", name) or len(name.encode()) > _NAME_BYTES:
        raise UsageError(
            f"{files.shortened(name)!r} cannot be the name of a session.",
            hint="Use letters, digits, spaces, dots and dashes.",
        )
    return _root() / name


def _unknown(name: str) -> UsageError:
    return UsageError(f"There is no session {name!r}.", hint=_SEE_OTHERS)


def _root() -> Path:
    return files.home() / "sessions"
