"""What is wrong with this installation: `doctor`."""

from __future__ import annotations

import typer

from qwenpick.cli.documents import Document
from qwenpick.cli.options import Json  # noqa: TC001 - typer reads it
from qwenpick.cli.output import emit
from qwenpick.errors import RunError
from qwenpick.hardware.checks import Check


class DoctorDocument(Document, frozen=True, kw_only=True):
    """What `doctor --json` prints."""

    checks: tuple[Check, ...]

    def render(self) -> None:
        """Show the checks to a person."""
        from qwenpick.cli.pages import machine_pages

        machine_pages.doctor(self.checks)


def doctor(as_json: Json = False) -> None:
    """Check this installation; show how to fix it."""
    from qwenpick.app.doctor import examine

    answer = DoctorDocument(checks=examine())
    emit(answer, as_json=as_json)
    if any(check.state == "bad" for check in answer.checks):
        raise typer.Exit(RunError.exit_code)
