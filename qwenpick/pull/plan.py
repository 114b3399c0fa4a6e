"""What a pull will do, before it does it: what, from where, how much, into what, what is here.

Knows nothing of disks and hubs: `bring.py` asks them and writes the answers down here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from qwenpick.errors import PullError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_QUANT = r"(?:UD-)?(?:I?Q\d+(?:_[A-Z0-9]+)*|TQ\d_\d|MXFP4(?:_MOE)?|BF16|F16|F32)"
_NAMED = re.compile(rf"(?:^|[-._/])({_QUANT})(?:-\d{{5}}-of-\d{{5}})?\.gguf$", re.IGNORECASE)
_SPLIT = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteFile:
    """One file of a repository, as a hub describes it."""

    name: str
    commit: str
    """The revision that the hub resolved, as it names it."""
    etag: str
    """What the hub cache calls the file's bytes: the sha256 of all but small files."""
    bytes: int | None
    sha256: str | None


class Source(Protocol):
    """A hub: lists a repository, describes a file, gives its bytes. Raises `PullError`."""

    @property
    def name(self) -> str:
        """Give the name by which `--source` knows it."""

    def names(self, repo: str, revision: str) -> tuple[str, ...]:
        """List the files of a repository."""

    def file(self, repo: str, revision: str, name: str) -> RemoteFile:
        """Describe a file."""

    def open(self, repo: str, file: RemoteFile, offset: int) -> Iterator[bytes]:
        """Give a file's bytes from *offset* on; it may end early."""


class Watcher(Protocol):
    """Whoever is told how a pull goes."""

    def say(self, line: str) -> None:
        """Take a line of talk."""

    def moved(self, name: str, done: int, total: int) -> None:
        """Take how many of a file's bytes are here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One file of a plan: found at `here`, or to be fetched as `remote`."""

    name: str
    bytes: int
    sha256: str | None
    here: str | None = None
    """Where it lies already."""
    source: str = ""
    """Whose copy it is: hf, modelscope, lmstudio, llama.cpp, folder."""
    remote: RemoteFile | None = None
    partial: int = 0
    """Bytes that an earlier try left."""

    @property
    def missing(self) -> int:
        """Bytes still to be fetched."""
        return 0 if self.here else max(self.bytes - self.partial, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A pull: the items in order, the model's own file first."""

    title: str
    source: str
    repo: str
    revision: str
    into: str
    free: int
    """Bytes that the disk has room for."""
    items: tuple[Item, ...]
    branch: str = ""
    """What was asked for where `revision` is the commit that it stands at."""
    size: str | None = None
    quant: str | None = None

    @property
    def bytes(self) -> int:
        """Bytes of all files."""
        return sum(item.bytes for item in self.items)

    @property
    def missing(self) -> int:
        """Bytes still to be fetched."""
        return sum(item.missing for item in self.items)


def quant_of(name: str) -> str | None:
    """Read the quantisation from a file's name, as it is written there."""
    match = _NAMED.search(name)
    return match[1] if match else None


def quants_of(names: Sequence[str]) -> tuple[str, ...]:
    """List the quantisations that a repository's files have, in its order."""
    found = (quant_of(name) for name in names if _is_weights(name))
    return tuple(dict.fromkeys(quant for quant in found if quant))


def weights_of(names: Sequence[str], quant: str) -> tuple[str, ...]:
    """Give the files of a quantisation: one, or every part of a split file, in order."""
    wanted = quant.casefold()
    matching = [
        name for name in names if _is_weights(name) and (quant_of(name) or "").casefold() == wanted
    ]
    matching.sort(key=lambda name: (name.count("/"), len(name), name))
    return parts_of(matching[0], names) if matching else ()


def parts_of(name: str, names: Sequence[str]) -> tuple[str, ...]:
    """Give a file with its other parts, where its name says that it is split.

    Raises:
        PullError: The repository lacks a part.
    """
    match = _SPLIT.search(name)
    if not match:
        return (name,)
    count = int(match[2])
    stem = name[: match.start()]
    parts = tuple(f"{stem}-{part:05}-of-{count:05}.gguf" for part in range(1, count + 1))
    for part in parts:
        if part not in names:
            raise PullError(
                f"The repository has no {part}, a part of the file.", hint="Choose another file."
            )
    return parts


def is_split(name: str) -> bool:
    """Tell whether a name is that of one part of a split file."""
    return _SPLIT.search(name) is not None


def stays_inside(name: str) -> bool:
    """Tell whether a file's name stays in the folder that it is written to."""
    parts = name.replace("\\", "/").split("/")
    return not any(part in {"", ".", ".."} or ":" in part or "\0" in part for part in parts)


def _is_weights(name: str) -> bool:
    last = name.rsplit("/", 1)[-1].casefold()
    return last.endswith(".gguf") and "mmproj" not in last and "imatrix" not in last
