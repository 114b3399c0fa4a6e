"""What is installed: `list`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct, convert

from qwenpick import units
from qwenpick.cli.documents import Document, Part
from qwenpick.cli.options import Json  # noqa: TC001 - typer reads it
from qwenpick.cli.output import emit, status

if TYPE_CHECKING:
    from qwenpick.pull.inventory import InstalledFile


class ListedFile(Part, frozen=True, kw_only=True):
    """A model's file on this disk."""

    path: Path
    size: str | None
    quant: str | None
    bytes: int
    source: str
    last_used: str
    """UTC, ISO 8601."""


class LeftOver(Part, frozen=True, kw_only=True):
    """A partial download, or a file with wrong bytes that was set aside."""

    path: Path
    bytes: int


class ListDocument(Document, frozen=True, kw_only=True):
    """What `list --json` prints."""

    files: list[ListedFile]
    total: int
    left_over: list[LeftOver]


class ListResult(Struct, frozen=True, kw_only=True):
    """What is installed, and what downloads left behind."""

    files: tuple[InstalledFile, ...]
    leftovers: tuple[Path, ...]

    def document(self) -> ListDocument:
        """Give what `list --json` prints."""
        return ListDocument(
            files=convert(self.files, list[ListedFile], from_attributes=True),
            total=sum(file.bytes for file in self.files),
            left_over=[LeftOver(path=path, bytes=path.stat().st_size) for path in self.leftovers],
        )

    def render(self) -> None:
        """Write a block a file: what, which command runs it, where."""
        width = max((len(file.title) for file in self.files), default=0)
        for file in self.files:
            sys.stdout.write(
                f"{file.title:<{width}}  {units.download(file.bytes):>8}  {file.source:<9}  "
                f"used {file.last_used[:10]}\n"
            )
            if not file.beside:
                sys.stdout.write(f"  qwenpick chat {file.model}\n")
            sys.stdout.write(f"  {file.path}\n")
        total = units.download(sum(file.bytes for file in self.files))
        if self.files:
            sys.stdout.write(f"{units.count(len(self.files), 'file')}, {total}\n")
        else:
            status("No models are installed yet. Next: qwenpick pull")
        if self.leftovers:
            size = units.download(sum(path.stat().st_size for path in self.leftovers))
            status(f"Unfinished or wrong downloads, {size} (the same pull continues one):")
        for path in self.leftovers:
            status(f"  {path}")


def list_files(as_json: Json = False) -> None:
    """List installed models."""
    from qwenpick.catalog.table import load
    from qwenpick.pull.inventory import installed, leftovers

    emit(ListResult(files=installed(load()), leftovers=leftovers()), as_json=as_json)
