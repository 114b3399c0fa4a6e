"""Gathers what the checks of `doctor` look at: this machine, and the hub as the pull asks it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qwenpick.catalog.table import load
from qwenpick.errors import PullError
from qwenpick.hardware import health, system
from qwenpick.hardware.checks import CheckInputs, run_checks
from qwenpick.hardware.probe import probe
from qwenpick.hardware.system_reader import SystemReader

if TYPE_CHECKING:
    from qwenpick.hardware.checks import Check
    from qwenpick.pull.sources.hub import Hub

_SECONDS = 5.0
_REFUSED = {401, 403}


def examine() -> tuple[Check, ...]:
    """Make all checks of this installation."""
    return tuple(run_checks(_gather()))


def _gather() -> CheckInputs:
    from qwenpick.pull.sources import http
    from qwenpick.pull.sources.hub import Hub

    sources, hub = SystemReader(), Hub()
    machine = probe(sources)
    fits = health.fitting_here(machine)
    files = [file for model in load().models for file in model.files]
    offline = http.offline()
    hub_problem, token_problem = ("", "") if offline else _ask(hub)
    return CheckInputs(
        machine=machine,
        fits=fits,
        trial=health.try_engine() if machine.engine.installed else None,
        missing=health.missing(fits.needs),
        smallest=min(file.bytes for file in files),
        largest=max(file.bytes for file in files if file.quant == "Q8_0"),
        disk_kind=health.disk_kind(sources),
        hub=hub.endpoint,
        hub_problem=hub_problem,
        token_problem=token_problem,
        has_token=hub.has_token,
        offline=offline,
        swap_used=system.swap_used(sources),
        on_battery=system.on_battery(),
        saves_power=health.saves_power(sources),
    )


def _ask(hub: Hub) -> tuple[str, str]:
    """Ask the hub who the token belongs to; give what is wrong with the hub, and the token."""
    try:
        status = hub.whoami(seconds=_SECONDS)
    except PullError as error:
        return error.message, ""
    refused = hub.has_token and status in _REFUSED
    return "", f"{hub.endpoint} refuses the token" if refused else ""
