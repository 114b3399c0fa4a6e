"""What a person names at the prompt: files with spaces in their names, images dropped there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from urllib.parse import unquote

from qwenpick.app.images import is_address
from qwenpick.errors import UsageError
from qwenpick.files import expanded, read
from qwenpick.files import text as decoded

PATH_START = re.compile(r"\s*['\"]?(/|~/|file://|[A-Za-z]:\\)")
"""How a message begins that may begin with a dropped image."""
_LARGEST_READ = 4 << 20  # bytes: more than any context holds
_SEEN = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".mp4", ".mov", ".mkv", ".webm", ".avi"}
"""Endings of what is taken for an image when it is dropped; a video is refused with its reason."""


def files(argument: str) -> list[Path]:
    """Read file names, quoted or not; the name of a file that exists needs no quotes."""
    whole = _path(argument)
    if _is_file(whole):
        return [whole]
    return [_path(name) for name in _words(argument) or [argument]]


def images(argument: str) -> list[str]:
    """Read the names of images: files and addresses."""
    if not any(is_address(word) for word in argument.split()):
        return [str(path) for path in files(argument)]
    return [word if is_address(word) else str(_path(word)) for word in _words(argument)]


def dropped(text: str) -> tuple[list[str], str]:
    """Take the images whose paths were dropped at the start of a message; gives the rest, too."""
    taken: list[str] = []
    words = _words(text)
    while words and Path(words[0]).suffix.casefold() in _SEEN and _is_file(_path(words[0])):
        taken.append(str(_path(words.pop(0))))
    return (taken, " ".join(words)) if taken else ([], text)


def text_of_file(path: Path) -> str:
    """Read a text file.

    Raises:
        UsageError: It is missing, is not text, or is larger than any context.
    """
    data = read(path, limit=_LARGEST_READ)
    try:
        return decoded(data)
    except UnicodeError:
        raise UsageError(f"{path} is not a text file.", hint="For an image: /image FILE") from None


def _words(text: str) -> list[str]:
    """Split as a shell does; none where a quote is never closed."""
    try:
        return shlex.split(text)
    except ValueError:
        return []


def _path(name: str) -> Path:
    plain = unquote(name.removeprefix("file://")) if name.startswith("file://") else name
    return expanded(plain)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that is too long, or no name at all
        return False
