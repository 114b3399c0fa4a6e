"""Check the files' sha256: `verify`."""

from __future__ import annotations

from qwenpick.cli.documents import Document
from qwenpick.cli.options import Json, ModelArgument, QuantOptions, spread
from qwenpick.cli.output import emit, status, write
from qwenpick.errors import PullError, UsageError
from qwenpick.pull.inventory import Check


class VerifyDocument(Document, frozen=True, kw_only=True):
    """What `verify --json` prints."""

    files: tuple[Check, ...]

    def render(self) -> None:
        """Write a line a file."""
        for file in self.files:
            write(f"{file.state:<8} {(file.sha256 or '')[:12]}...  {file.path}\n")
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
        checks = inventory.check(inventory.chosen(reference, catalog), catalog, ui)
    if unreadable := [str(check.path) for check in checks if check.state == "unreadable"]:
        for check in checks:
            status(f"{check.state:<10} {check.path}")
        raise PullError(
            f"Cannot read {', '.join(unreadable)}.", hint="Check its permissions, and the disk."
        )
    if wrong := [check for check in checks if check.state == "wrong"]:
        name = wrong[0].model
        raise PullError(
            f"Wrong bytes in {', '.join(str(check.path) for check in wrong)}.",
            hint=f"Download it again: qwenpick rm {name} --yes, then qwenpick pull {name}",
        )
    emit(VerifyDocument(files=tuple(checks)), as_json=as_json)
