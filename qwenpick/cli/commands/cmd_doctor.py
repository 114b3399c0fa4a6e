"""What is wrong with this set-up: `doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer
from msgspec import Struct, to_builtins

from qwenpick.cli.options import Json  # noqa: TC001 - typer reads it
from qwenpick.cli.output import emit
from qwenpick.errors import RunError

if TYPE_CHECKING:
    from qwenpick.hardware.checks import Check, CheckInputs


class DoctorResult(Struct, frozen=True):
    """The checks."""

    checks: tuple[Check, ...]

    def to_json(self) -> dict[str, Any]:
        """Give the document of `doctor --json`."""
        return {"checks": [to_builtins(check) for check in self.checks]}

    def render(self) -> None:
        """Show them to a person."""
        from qwenpick.cli.pages import machine_pages

        machine_pages.doctor(self.checks)


def doctor(as_json: Json = False) -> None:
    """Say what is wrong with this set-up, and the command that mends it."""
    from qwenpick.hardware.checks import run_checks

    answer = DoctorResult(tuple(run_checks(gather())))
    emit(answer, as_json=as_json)
    if any(check.state == "bad" for check in answer.checks):
        raise typer.Exit(RunError.exit_code)


def gather() -> CheckInputs:
    """Look at all that the checks need."""
    from qwenpick.catalog.table import load
    from qwenpick.cli.commands import cmd_engine
    from qwenpick.hardware import health, system
    from qwenpick.hardware.checks import CheckInputs
    from qwenpick.hardware.probe import probe
    from qwenpick.hardware.system_reader import SystemReader

    sources = SystemReader()
    machine = probe(sources)
    fits = cmd_engine.fitting_here(machine)
    files = [file for model in load().models for file in model.files]
    hub, secret = health.endpoint(sources), health.token(sources)
    offline = health.is_offline(sources)
    code, problem = (200, "") if offline else health.ask_hub(hub, "/api/models?limit=1")
    refused = False
    if secret and code is not None and not offline:
        refused = health.ask_hub(hub, "/api/whoami-v2", secret)[0] == 401  # noqa: PLR2004
    return CheckInputs(
        machine=machine,
        fits=fits,
        trial=health.try_engine() if machine.engine.installed else None,
        missing=health.missing(fits.needs),
        smallest=min(file.bytes for file in files),
        largest=max(file.bytes for file in files if file.quant == "Q8_0"),
        disk_kind=health.disk_kind(sources),
        hub=hub,
        hub_problem="" if code is not None else problem,
        token_problem="the hub refuses the token" if refused else "",
        has_token=bool(secret),
        offline=offline,
        swap_used=system.swap_used(sources),
        on_battery=system.on_battery(),
        saves_power=health.saves_power(sources),
    )
