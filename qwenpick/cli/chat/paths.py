"""What a person names at the prompt: files with blanks in their names, pictures dropped there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from urllib.parse import unquote

from qwenpick import units
from qwenpick.app.images import is_address
from qwenpick.errors import UsageError

_LARGEST_READ = 4 << 20  # bytes: more than any window holds, and no mistake can be larger
_PATH = re.compile(r"\s*['\"]?(/|~/|file://|[A-Za-z]:\\)")
_SEEN = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".mp4", ".mov", ".mkv", ".webm", ".avi"}
"""Endings of what is taken for a picture when it is dropped; a video is refused with its reason."""


def files(argument: str) -> list[Path]:
    """Read file names, quoted or not; a name with blanks that is there needs no quotes."""
    whole = _path(argument)
    if whole.exists():
        return [whole]
    return [_path(name) for name in _words(argument) or [argument]]


def pictures(argument: str) -> list[str]:
    """Read the names of pictures: files and addresses."""
    if not any(is_address(word) for word in argument.split()):
        return [str(path) for path in files(argument)]
    return [word if is_address(word) else str(_path(word)) for word in _words(argument)]


def dropped(text: str) -> tuple[list[str], str]:
    """Take the pictures whose paths were dropped at the start of a message; gives the rest, too."""
    if not _PATH.match(text):
        return [], text
    taken: list[str] = []
    words = _words(text)
    while words and _path(words[0]).suffix.casefold() in _SEEN and _path(words[0]).is_file():
        taken.append(str(_path(words.pop(0))))
    return (taken, " ".join(words)) if taken else ([], text)


def text_of_file(path: Path) -> str:
    """Read a text file.

    Raises:
        UsageError: It is not there, is no text, or is larger than any window.
    """
    try:
        if path.stat().st_size > _LARGEST_READ:
            raise UsageError(
                f"{path} is too large to be read ({units.download(path.stat().st_size)}).",
                hint="Read a part of it: /read takes any text file.",
            )
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(
            f"{path} can't be read: {error.strerror}.", hint="Check its name."
        ) from None
    except ValueError:
        raise UsageError(f"{path} is no text.", hint="Pictures: /image FILE") from None


def _words(text: str) -> list[str]:
    """Split as a shell does; none where a quote is never closed."""
    try:
        return shlex.split(text)
    except ValueError:
        return []


def _path(name: str) -> Path:
    plain = unquote(name.removeprefix("file://")) if name.startswith("file://") else name
    return Path(plain).expanduser()
