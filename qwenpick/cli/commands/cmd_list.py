"""What is installed: `list`."""

from __future__ import annotations

from pathlib import Path

from qwenpick import units
from qwenpick.cli.documents import Document, Part
from qwenpick.cli.options import Json  # noqa: TC001 - typer reads it
from qwenpick.cli.output import emit, status, write
from qwenpick.pull.inventory import InstalledFile, installed, leftovers


class LeftOver(Part, frozen=True, kw_only=True):
    """A partial download, or a file with wrong bytes that was set aside."""

    path: Path
    bytes: int


class ListDocument(Document, frozen=True, kw_only=True):
    """What `list --json` prints."""

    files: tuple[InstalledFile, ...]
    total: int
    left_over: list[LeftOver]

    def render(self) -> None:
        """Write a block a file: what, which command runs it, where."""
        width = max((len(file.title) for file in self.files), default=0)
        for file in self.files:
            write(
                f"{file.title:<{width}}  {units.download(file.bytes):>8}  {file.source:<9}  "
                f"used {file.last_used[:10]}\n"
            )
            if not file.beside:
                write(f"  qwenpick chat {file.model}\n")
            write(f"  {file.path}\n")
        if self.files:
            write(f"{units.count(len(self.files), 'file')}, {units.download(self.total)}\n")
        else:
            status("No models are installed yet. Next: qwenpick pull")
        if self.left_over:
            size = units.download(sum(one.bytes for one in self.left_over))
            status(f"Unfinished or wrong downloads, {size} (the same pull continues one):")
        for one in self.left_over:
            status(f"  {one.path}")


def list_files(as_json: Json = False) -> None:
    """List installed models."""
    from qwenpick.catalog.table import load

    files = installed(load())
    left_over = [LeftOver(path=path, bytes=path.stat().st_size) for path in leftovers()]
    total = sum(file.bytes for file in files)
    emit(ListDocument(files=files, total=total, left_over=left_over), as_json=as_json)
