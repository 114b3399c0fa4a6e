"""Gathers what the checks of `doctor` look at: this machine, and the hub as the pull asks it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from qwenpick import hub_env
from qwenpick.catalog.table import load
from qwenpick.errors import PullError, QwenpickError
from qwenpick.hardware import health, system
from qwenpick.hardware.checks import CheckInputs, run_checks
from qwenpick.hardware.probe import probe
from qwenpick.hardware.system_reader import SystemReader

if TYPE_CHECKING:
    from qwenpick.hardware.checks import Check

_SECONDS = 5.0
_REFUSED = {401, 403}


class _HubAnswer(Struct, frozen=True, kw_only=True):
    """What came of asking the hub; a problem is a sentence, empty where there is none."""

    endpoint: str
    problem: str = ""
    token_problem: str = ""
    has_token: bool = False
    offline: bool = False


def examine() -> tuple[Check, ...]:
    """Make all checks of this installation."""
    return tuple(run_checks(_gather()))


def _gather() -> CheckInputs:
    sources, hub = SystemReader(), _ask_hub()
    machine = probe(sources)
    fits = health.fitting_here(machine)
    files = [file for model in load().models for file in model.files]
    return CheckInputs(
        machine=machine,
        fits=fits,
        trial=health.try_engine() if machine.engine.installed else None,
        missing=health.missing(fits.needs),
        smallest=min(file.bytes for file in files),
        largest=max(file.bytes for file in files if file.quant == "Q8_0"),
        disk_kind=health.disk_kind(sources),
        hub=hub.endpoint,
        hub_problem=hub.problem,
        token_problem=hub.token_problem,
        has_token=hub.has_token,
        offline=hub.offline,
        swap_used=system.swap_used(sources),
        on_battery=system.on_battery(),
        saves_power=health.saves_power(sources),
    )


def _ask_hub() -> _HubAnswer:
    """Ask the hub who the token belongs to, as a pull would ask."""
    from qwenpick.pull.sources.hub import Hub

    offline = hub_env.offline()
    try:
        hub = Hub()
        status = None if offline else hub.whoami(seconds=_SECONDS)
    except QwenpickError as error:
        return _failed(error, offline=offline)
    refused = hub.has_token and status in _REFUSED
    return _HubAnswer(
        endpoint=hub.endpoint,
        token_problem=f"{hub.endpoint} refuses the token" if refused else "",
        has_token=hub.has_token,
        offline=offline,
    )


def _failed(error: QwenpickError, *, offline: bool) -> _HubAnswer:
    """Say what a hub that could not be asked failed from: its token, or anything else."""
    message = error.message.rstrip(".")
    try:
        endpoint = hub_env.endpoint()
    except PullError:
        return _HubAnswer(endpoint="HF_ENDPOINT", problem=message, offline=offline)
    try:
        has_token = bool(hub_env.token())
    except QwenpickError:
        return _HubAnswer(endpoint=endpoint, token_problem=message, offline=offline)
    return _HubAnswer(endpoint=endpoint, problem=message, has_token=has_token, offline=offline)
