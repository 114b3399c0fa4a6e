"""What is wrong with this installation: `doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer
from msgspec import Struct, to_builtins

from qwenpick.cli.options import Json  # noqa: TC001 - typer reads it
from qwenpick.cli.output import emit
from qwenpick.errors import RunError

if TYPE_CHECKING:
    from qwenpick.hardware.checks import Check


class DoctorResult(Struct, frozen=True):
    """The checks."""

    checks: tuple[Check, ...]

    def to_json(self) -> dict[str, Any]:
        """Give the document of `doctor --json`."""
        return {"checks": to_builtins(self.checks)}

    def render(self) -> None:
        """Show them to a person."""
        from qwenpick.cli.pages import machine_pages

        machine_pages.doctor(self.checks)


def doctor(as_json: Json = False) -> None:
    """Check this installation; show how to fix it."""
    from qwenpick.app.doctor import examine

    answer = DoctorResult(examine())
    emit(answer, as_json=as_json)
    if any(check.state == "bad" for check in answer.checks):
        raise typer.Exit(RunError.exit_code)
