"""Remove a model's file: `rm`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qwenpick import units
from qwenpick.cli.documents import Document
from qwenpick.cli.options import Json, QuantOptions, Yes, spread
from qwenpick.cli.output import emit, write


class RemoveDocument(Document, frozen=True, kw_only=True):
    """What `rm --json` prints."""

    removed: tuple[Path, ...]
    bytes: int

    def render(self) -> None:
        """Write what became free."""
        write(f"Freed {units.download(self.bytes)}.\n")


@spread
def rm(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="As for chat.")],
    quants: QuantOptions,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Remove an installed model."""
    from qwenpick.app import models
    from qwenpick.catalog.table import load
    from qwenpick.cli.ui import TerminalUi
    from qwenpick.pull import inventory

    catalog = load()
    with TerminalUi(yes=yes) as ui:
        reference = models.installed_reference(model, quants.chosen(), catalog, ui)
        plan = inventory.removal(reference, catalog)
        for path in plan.paths:
            ui.status(f"  {path}")
        if ui.confirm(f"Remove {units.download(plan.bytes)}?", default=False):
            inventory.remove(plan)
            emit(RemoveDocument(removed=plan.paths, bytes=plan.bytes), as_json=as_json)
