"""What is wrong with this set-up: `doctor`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import typer

from qwenpick.cli.options import Json  # noqa: TC001 - typer reads it
from qwenpick.cli.output import emit
from qwenpick.errors import RunError

if TYPE_CHECKING:
    from qwenpick.hardware.checks import Check, Findings


@dataclass(frozen=True, slots=True)
class Examined:
    """The checks."""

    checks: tuple[Check, ...]

    def to_json(self) -> dict[str, Any]:
        """Give the document of `doctor --json`."""
        return {"checks": [asdict(check) for check in self.checks]}

    def page(self) -> None:
        """Show them to a person."""
        from qwenpick.cli import machine_pages  # noqa: PLC0415 - rich costs 40 ms

        machine_pages.doctor(self.checks)


def doctor(as_json: Json = False) -> None:
    """Say what is wrong with this set-up, and the command that mends it."""
    from qwenpick.hardware.checks import examine  # noqa: PLC0415 - not needed for --help

    answer = Examined(tuple(examine(gather())))
    emit(answer, as_json=as_json)
    if any(check.state == "bad" for check in answer.checks):
        raise typer.Exit(RunError.exit_code)


def gather() -> Findings:
    """Look at all that the checks need."""
    from qwenpick.catalog.table import load  # noqa: PLC0415 - not needed for --help
    from qwenpick.cli import engine  # noqa: PLC0415 - the same
    from qwenpick.hardware import health, system  # noqa: PLC0415 - the same
    from qwenpick.hardware.checks import Findings  # noqa: PLC0415 - the same
    from qwenpick.hardware.probe import probe  # noqa: PLC0415 - the same
    from qwenpick.hardware.sources import Sources  # noqa: PLC0415 - the same

    sources = Sources()
    machine = probe(sources)
    fits = engine.fitting_here(machine)
    files = [file for model in load().models for file in model.files]
    hub, secret = health.endpoint(sources), health.token(sources)
    offline = health.is_offline(sources)
    code, problem = (200, "") if offline else health.ask_hub(hub, "/api/models?limit=1")
    refused = False
    if secret and code is not None and not offline:
        refused = health.ask_hub(hub, "/api/whoami-v2", secret)[0] == 401  # noqa: PLR2004
    return Findings(
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
