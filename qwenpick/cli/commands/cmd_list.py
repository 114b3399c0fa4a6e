"""What is on disk: `list`, `verify`, `rm`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer
from msgspec import Struct

from qwenpick import units
from qwenpick.cli.options import Json, ModelArgument, QuantOptions, Yes, spread
from qwenpick.cli.output import ask, emit, status
from qwenpick.errors import PullError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from qwenpick.pull.inventory import Check, InstalledFile


class ListResult(Struct, frozen=True, kw_only=True):
    """What is on disk."""

    files: tuple[InstalledFile, ...]
    leftovers: tuple[Path, ...] = ()

    @property
    def total(self) -> int:
        """Bytes of all files."""
        return sum(file.bytes for file in self.files)

    def to_json(self) -> dict[str, Any]:
        """Give the JSON document."""
        rows = [
            {
                "path": str(file.path),
                "size": file.size,
                "quant": file.quant,
                "bytes": file.bytes,
                "source": file.source,
                "last_used": file.last_used,
            }
            for file in self.files
        ]
        left = [{"path": str(path), "bytes": path.stat().st_size} for path in self.leftovers]
        return {"files": rows, "total": self.total, "left_over": left}

    def render(self) -> None:
        """Write a block a file: what, which command runs it, where."""
        if not self.files:
            status("No models are installed yet. Next: qwenpick pull")
            self._tell_leftovers()
            return
        width = max(len(file.title) for file in self.files)
        for file in self.files:
            sys.stdout.write(
                f"{file.title:<{width}}  {units.download(file.bytes):>8}  {file.source:<9}  "
                f"used {file.last_used[:10]}\n"
            )
            if not file.beside:
                sys.stdout.write(f"  qwenpick chat {file.model}\n")
            sys.stdout.write(f"  {file.path}\n")
        sys.stdout.write(f"{len(self.files)} in all, {units.download(self.total)}\n")
        self._tell_leftovers()

    def _tell_leftovers(self) -> None:
        if self.leftovers:
            size = units.download(sum(path.stat().st_size for path in self.leftovers))
            status(f"Unfinished or wrong downloads, {size} (the same pull continues one):")
        for path in self.leftovers:
            status(f"  {path}")


class VerifyResult(Struct, frozen=True, kw_only=True):
    """What files are, against what they should be."""

    checks: tuple[Check, ...]

    def to_json(self) -> dict[str, Any]:
        """Give the JSON document."""
        return {
            "files": [
                {
                    "path": str(check.path),
                    "sha256": check.sha256,
                    "expected": check.expected,
                    "state": check.state,
                }
                for check in self.checks
            ]
        }

    def render(self) -> None:
        """Write a line a file."""
        for check in self.checks:
            sys.stdout.write(f"{check.state:<8} {check.sha256[:12]}...  {check.path}\n")
        if not self.checks:
            status("No models are installed, so there is nothing to verify.")


class RemoveResult(Struct, frozen=True, kw_only=True):
    """What was removed."""

    removed: tuple[str, ...]
    bytes: int

    def to_json(self) -> dict[str, Any]:
        """Give the JSON document."""
        return {"removed": list(self.removed), "bytes": self.bytes}

    def render(self) -> None:
        """Write what became free."""
        sys.stdout.write(f"{units.download(self.bytes)} are free again.\n")


def list_files(as_json: Json = False) -> None:
    """Show what is on disk: where, how large, last used, which command runs it."""
    from qwenpick.catalog.table import load
    from qwenpick.pull.inventory import installed, leftovers

    emit(ListResult(files=installed(load()), leftovers=leftovers()), as_json=as_json)


@spread
def verify(
    quants: QuantOptions,
    model: ModelArgument = None,
    as_json: Json = False,
) -> None:
    """Read files again and check their sha256; without MODEL, all that are here."""
    from qwenpick.catalog.table import load
    from qwenpick.cli.ui import TerminalUi
    from qwenpick.pull import inventory
    from qwenpick.pull.reference import parse

    catalog = load()
    if not model and quants.chosen():
        raise UsageError("Which model's?", hint="Name it: qwenpick verify 9b --q4")
    reference = parse(model, quants.chosen(), catalog) if model else None
    with TerminalUi() as ui:
        checks = inventory.check(inventory.chosen(reference, catalog), ui)
    if wrong := [check for check in checks if check.state == "wrong"]:
        name = wrong[0].model
        raise PullError(
            f"Wrong bytes in {', '.join(str(check.path) for check in wrong)}.",
            hint=f"Fetch it again: qwenpick rm {name} --yes, then qwenpick pull {name}",
        )
    emit(VerifyResult(checks=checks), as_json=as_json)


@spread
def rm(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="As for chat.")],
    quants: QuantOptions,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Remove a model's file from the hub cache, after a question."""
    from qwenpick.catalog.table import load
    from qwenpick.pull import inventory
    from qwenpick.pull.reference import parse

    catalog = load()
    plan = inventory.removal(parse(model, quants.chosen(), catalog), catalog)
    for path in plan.paths:
        status(f"  {path}")
    if not ask(f"Remove {units.download(plan.bytes)}?", yes=yes, default=False):
        return
    inventory.remove(plan)
    emit(RemoveResult(removed=plan.paths, bytes=plan.bytes), as_json=as_json)
