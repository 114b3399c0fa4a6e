"""Check the files' sha256: `verify`."""

from __future__ import annotations

import sys
from pathlib import Path

from msgspec import convert

from qwenpick.cli.documents import Document, Part
from qwenpick.cli.options import Json, ModelArgument, QuantOptions, spread
from qwenpick.cli.output import emit, status
from qwenpick.errors import PullError, UsageError
from qwenpick.pull.inventory import State


class VerifiedFile(Part, frozen=True, kw_only=True):
    """A file's sha256, and what it should be."""

    path: Path
    sha256: str
    expected: str | None
    state: State


class VerifyDocument(Document, frozen=True, kw_only=True):
    """What `verify --json` prints."""

    files: list[VerifiedFile]

    def render(self) -> None:
        """Write a line a file."""
        for file in self.files:
            sys.stdout.write(f"{file.state:<8} {file.sha256[:12]}...  {file.path}\n")
        if not self.files:
            status("No model is installed.")


@spread
def verify(quants: QuantOptions, model: ModelArgument = None, as_json: Json = False) -> None:
    """Check the sha256 of installed models.

    Without MODEL it checks all of them.
    """
    from qwenpick.app import models
    from qwenpick.catalog.table import load
    from qwenpick.cli.ui import TerminalUi
    from qwenpick.pull import inventory

    catalog, quant = load(), quants.chosen()
    if not model and quant:
        raise UsageError(f"{quant} of which model?", hint="Name it: qwenpick verify 9b --q4")
    with TerminalUi() as ui:
        reference = models.installed_reference(model, quant, catalog, ui) if model else None
        checks = inventory.check(inventory.chosen(reference, catalog), ui)
    if wrong := [check for check in checks if check.state == "wrong"]:
        name = wrong[0].model
        raise PullError(
            f"Wrong bytes in {', '.join(str(check.path) for check in wrong)}.",
            hint=f"Download it again: qwenpick rm {name} --yes, then qwenpick pull {name}",
        )
    files = convert(checks, list[VerifiedFile], from_attributes=True)
    emit(VerifyDocument(files=files), as_json=as_json)
