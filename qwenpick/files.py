"""Where qwenpick keeps what is its own, and the one way to read and write it.

Whatever comes from outside is data of unknown shape and size: `read` and `document` bound its
bytes, refuse what is not a regular file, and say file, place and what was expected. Whatever is
saved goes through `writer`: whole or not at all, and for its owner alone.
"""

from __future__ import annotations

import codecs
import errno
import os
import stat
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeVar

from qwenpick.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

LIMIT = 16 << 20
"""Bytes of a document, unless its reader says otherwise: far above any that qwenpick writes."""
_LONGEST = 200
"""Letters of a path in a message."""
_ENCODINGS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",  # what `>` of Windows PowerShell writes
    codecs.BOM_UTF16_BE: "utf-16",
}


def home() -> Path:
    """Give QWENPICK_HOME, else the platform's folder for a user's data; it may not exist yet.

    Raises:
        UsageError: QWENPICK_HOME is not a folder, or nothing says where the user's home is.
    """
    if named := os.environ.get("QWENPICK_HOME"):
        return _named_home(named)
    import platformdirs

    with suppress(RuntimeError):  # of expanduser: no HOME, and no user of this number
        folder = Path(platformdirs.user_data_dir("qwenpick", appauthor=False)).expanduser()
        if folder.is_absolute():
            return folder
    raise UsageError(
        "There is no home folder: HOME is not set.",
        hint="Name a folder for qwenpick's files: QWENPICK_HOME=/some/folder",
    )


def _named_home(named: str) -> Path:
    try:
        path = Path(named).expanduser()
        if not path.exists() or path.is_dir():
            return path
        problem = "it is not a folder"
    except PermissionError:
        return path  # whether that matters is known when something is read or written
    except RuntimeError:
        problem = "there is no such user"
    except (OSError, ValueError) as error:
        problem = _reason(error)
    raise UsageError(
        f"QWENPICK_HOME={shortened(named)} cannot be used: {problem}.",
        hint="Set it to a folder, or unset it.",
    )


def read(path: Path, *, limit: int) -> bytes:
    """Read a regular file of at most *limit* bytes.

    Raises:
        UsageError: It is missing, unreadable, too large, or a folder, device or pipe.
    """
    try:
        with open(path, "rb", opener=_at_once) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise UsageError(f"Cannot read {shortened(path)}: it is not a regular file.")
            data = file.read(limit + 1)
    except (OSError, ValueError) as error:
        raise UsageError(f"Cannot read {shortened(path)}: {_reason(error)}.") from None
    if len(data) > limit:
        raise UsageError(f"Cannot read {shortened(path)}: it has more than {limit:,} bytes.")
    return data


def _at_once(name: str, flags: int) -> int:
    """Open a pipe without waiting for somebody who writes to it."""
    return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))


def document(path: Path, kind: type[T], *, what: str, hint: str = "", limit: int = LIMIT) -> T:
    """Read a JSON file as *kind*.

    Args:
        path: The file.
        kind: What it should hold: a Struct, or any type that msgspec decodes.
        what: What to call it in a message, such as "the machine file".
        hint: What to type where it is not that.
        limit: The most bytes that it may have.

    Raises:
        UsageError: It cannot be read, or is not of this form: names the file, the place in it,
            and what was expected there.
    """
    try:
        data = read(path, limit=limit)
    except UsageError as error:
        raise UsageError(error.message, hint=hint) from None
    return decode(data, kind, what=f"{what} {shortened(path)}", hint=hint)


def decode(data: bytes | str, kind: type[T], *, what: str, hint: str = "") -> T:
    """Read JSON text as *kind*; `document` for text that is not a file.

    Raises:
        UsageError: It is not of this form: names *what*, the place, and what was expected.
    """
    import msgspec  # --help does without: 8 ms

    try:
        return msgspec.json.decode(_unmarked(data), type=kind)
    except msgspec.ValidationError as error:
        problem = str(error).replace(" - at ", " at ")
    except msgspec.DecodeError as error:
        problem = str(error)
    except UnicodeError:
        problem = "it is not UTF-8 text"
    except RecursionError:
        problem = "it is nested too deeply"
    raise UsageError(f"Cannot use {what}: {problem}.", hint=hint)


def text(data: bytes) -> str:
    """Decode a text file: UTF-8, with or without a byte order mark, or UTF-16 with one.

    Raises:
        UnicodeError: It is neither.
    """
    marks = (mark for mark in _ENCODINGS if data.startswith(mark))
    return data.decode(_ENCODINGS[mark] if (mark := next(marks, None)) else "utf-8")


def _unmarked(data: bytes | str) -> bytes | str:
    """Take the byte order mark off, which a JSON decoder refuses."""
    if isinstance(data, bytes):
        return text(data) if data.startswith(tuple(_ENCODINGS)) else data
    return data.removeprefix("\ufeff")


def write(path: Path, data: bytes) -> None:
    """Save *data* at *path*, whole or not at all; see `writer`.

    Raises:
        OSError: It cannot be written; names *path*.
    """
    with writer(path) as file:
        file.write(data)


@contextmanager
def writer(path: Path) -> Iterator[IO[bytes]]:
    """Give an empty file, to be written and read; it takes the place of *path* at the end.

    Only its owner can read it, in folders that only he can open. It is synced before it takes its
    place, and removed where anything fails. A symbolic link at *path* is replaced, not followed.

    Raises:
        OSError: It cannot be written; names *path*.
    """
    import tempfile

    draft = None
    try:
        folder(path.parent)
        with tempfile.NamedTemporaryFile(
            "w+b", dir=path.parent, prefix=".draft-", delete=False
        ) as file:
            draft = Path(file.name)
            draft.chmod(0o600)  # a umask may have taken our own rights, too
            yield file.file
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
    finally:
        if draft:
            draft.unlink(missing_ok=True)


def folder(path: Path) -> None:
    """Make a folder; in qwenpick's home, all down to it are for their owner alone from then on.

    Raises:
        OSError: It cannot be made, or a symbolic link leads out of the home.
    """
    base = home()
    if not path.is_relative_to(base):
        path.mkdir(parents=True, exist_ok=True)
        return
    _private(base)
    inside = path.relative_to(base).parts
    for count in range(1, len(inside) + 1):
        place = base.joinpath(*inside[:count])
        if place.is_symlink():
            raise OSError(errno.ELOOP, "it is a symbolic link", str(place))
        _private(place)


def _private(place: Path) -> None:
    """Make a folder for its owner alone, or narrow one; one shared by design keeps its rights."""
    try:
        place.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        mode = place.stat().st_mode
        if mode & 0o077 and not mode & stat.S_ISVTX:
            with suppress(PermissionError):  # not ours: whoever made it decides
                place.chmod(stat.S_IMODE(mode) & 0o700)
    else:
        place.chmod(0o700)  # a umask may have taken our own rights, too


@contextmanager
def locked(path: Path, *, waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold the lock of a file, `PATH.lock` beside it, which one process can hold at a time.

    Args:
        path: The file that is read, changed and written under the lock.
        waiting: Called once where another process holds it.

    Raises:
        OSError: The lock cannot be made.
    """
    from filelock import FileLock, Timeout

    folder(path.parent)
    lock = FileLock(path.with_name(path.name + ".lock"), mode=0o600)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if waiting:
            waiting()
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def expanded(path: Path | str) -> Path:
    """Put the user's folder in the place of `~`; without such a user, it stays as it is."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 - Path's own raises


def shortened(path: Path | str) -> str:
    """Give a path for a message; of one that fills the screen, its start and its end."""
    name = str(path)
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST // 2]}...{name[-30:]}"


def _reason(error: OSError | ValueError) -> str:
    """Say why the system refuses a path; a ValueError is of a name with a NUL."""
    return getattr(error, "strerror", None) or "it is not a file name"
