"""What a pull will do, before it does it: what, from where, how much, what is installed.

Knows nothing of disks and hubs: `planner.py` asks them and writes the answers down here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from msgspec import Struct, field

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from qwenpick.catalog.model import Architecture


class RemoteFile(Struct, frozen=True, kw_only=True):
    """One file of a repository, as a hub describes it."""

    name: str
    commit: str
    """The revision that the hub resolved, as it names it."""
    etag: str
    """What the hub cache calls the file's bytes: the sha256 of all but small files."""
    bytes: int | None
    sha256: str | None
    chunks: str | None = None
    """What the hub's chunk store (xet) calls the file, where it has it, too."""


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


class Progress(Protocol):
    """Whoever is told how a pull goes; every `app.ui.Ui` is one."""

    def status(self, line: str) -> None:
        """Take a line: a note, a warning, or what happens next."""

    def progress(self, name: str, done: int, total: int) -> None:
        """Take how many of a file's *total* bytes are downloaded or read."""


class Item(Struct, frozen=True, kw_only=True):
    """One file of a plan: installed at `path`, or to be downloaded as `remote`."""

    name: str
    bytes: int
    sha256: str | None
    path: str | None = None
    """Where it is installed."""
    source: str = ""
    """Whose copy it is: hf, modelscope, lmstudio, llama.cpp, folder."""
    remote: RemoteFile | None = None
    partial: int = 0
    """Bytes that an earlier download left."""

    @property
    def missing(self) -> int:
        """Bytes still to download."""
        return 0 if self.path else max(self.bytes - self.partial, 0)


class Asked(Struct, frozen=True, kw_only=True):
    """What the model's file has to be, as far as that was asked for."""

    model: str = ""
    """The name of a size of the table; empty for any other file."""
    quant: str | None = None
    """None where a file was named, and no quantisation."""
    pinned: bool = False
    """The table has the file's sha256, and so says which bytes it means."""
    shapes: Mapping[str, Architecture] = field(default_factory=dict)
    """Those of the table's sizes, by their names."""


class Plan(Struct, frozen=True, kw_only=True):
    """A pull: the items in order, the model's own file first."""

    title: str
    source: str
    """The hub: hf or modelscope; of an installed file, whose copy it is."""
    repo: str
    revision: str
    into: str
    free: int
    """Bytes that the disk has room for."""
    items: tuple[Item, ...]
    branch: str = ""
    """What was asked for where `revision` is the commit that it stands at."""
    asked: Asked = field(default_factory=Asked)
    by_table: bool = False
    """No hub was asked: of a dry run without a network."""

    @property
    def bytes(self) -> int:
        """Bytes of all files."""
        return sum(item.bytes for item in self.items)

    @property
    def missing(self) -> int:
        """Bytes still to download."""
        return sum(item.missing for item in self.items)
