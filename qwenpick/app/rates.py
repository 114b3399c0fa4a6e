"""Keeps the rates that this machine reached, for later estimates."""

from __future__ import annotations

import datetime as dt
from statistics import median
from typing import TYPE_CHECKING

from qwenpick.engine.bindings import version
from qwenpick.hardware import measurements
from qwenpick.hardware.machine import Measurement

if TYPE_CHECKING:
    from collections.abc import Iterable

    from qwenpick.app.loader import Prepared
    from qwenpick.chat.events import Turn
    from qwenpick.pick.request import Settings

_ENOUGH_READ, _ENOUGH_WRITTEN = 128, 16
"""Tokens from which a turn's rates stand for something."""
_OF_TURN = 0.25
"""The weight of one turn: a busy moment does not undo what was measured."""


def keep(
    prepared: Prepared,
    settings: Settings,
    rates: tuple[float | None, float | None],
    *,
    bandwidth: float | None = None,
    weight: float = 1.0,
) -> None:
    """Keep prompt and decode rates of a file, and the memory's bandwidth in bytes per second.

    What is None is taken from the record before; with a *weight* below 1 the rates only move
    that far from it.
    """
    local = prepared.local
    record = Measurement(
        model_file=local.path.name,
        size=local.size,
        quant=local.quant or prepared.file.quant,
        weights_bytes=local.path.stat().st_size,
        threads=settings.threads,
        repack=settings.repack,
        gpu_layers=settings.gpu_layers,
        prompt_rate=rates[0],
        decode_rate=rates[1],
        memory_bandwidth_bytes_per_second=bandwidth,
        engine_version=version(),
        taken=dt.datetime.now().astimezone().date().isoformat(),
    )
    measurements.keep(record, weight=weight)


def keep_turns(prepared: Prepared, turns: Iterable[Turn]) -> None:
    """Keep the rates that the turns of a chat reached: their medians, so that no turn decides.

    Raises:
        OSError: They cannot be written.
    """
    reached = [_of_turn(turn) for turn in turns]
    prompt = _median(rate for rate, _ in reached)
    decode = _median(rate for _, rate in reached)
    if prompt or decode:
        keep(prepared, prepared.settings, (prompt, decode), weight=_OF_TURN)


def _median(rates: Iterable[float | None]) -> float | None:
    known = [rate for rate in rates if rate]
    return median(known) if known else None


def _of_turn(turn: Turn) -> tuple[float | None, float | None]:
    """Give the rates of a turn that was long enough to say anything."""
    read = turn.prompt_tokens - turn.cached_tokens
    return (
        turn.prompt_rate if read >= _ENOUGH_READ else None,
        turn.decode_rate if turn.completion_tokens >= _ENOUGH_WRITTEN else None,
    )
