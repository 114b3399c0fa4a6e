"""Measures this machine with one model, set-up by set-up, and keeps what is steady."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from qwenpick import units
from qwenpick.app import rates
from qwenpick.app.loader import prepare
from qwenpick.engine import bench as engine_bench
from qwenpick.errors import RepackError, RunError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from qwenpick.app.loader import LoadOverrides, Prepared
    from qwenpick.app.local_model import LocalModel
    from qwenpick.app.ui import Ui
    from qwenpick.engine.bench import Measured
    from qwenpick.pick.fit import PickInput
    from qwenpick.pick.request import Settings


class MeasuredModel(Struct, frozen=True, kw_only=True):
    """What was measured of a model, and which set-up is the best for a chat."""

    best: Measured
    tuned: tuple[Measured, ...]


def measure_model(
    local: LocalModel, question: PickInput, overrides: LoadOverrides, ui: Ui
) -> MeasuredModel:
    """Measure each set-up twice: numbers of threads, weights as stored and repacked.

    A set-up whose two passes disagree is reported and not kept: the machine had other work.

    Raises:
        RunError: The file is broken, does not fit, or the engine cannot run it.
    """
    ways = _ways(local, question, overrides, ui)
    first = next(ways)
    machine = question.machine
    bandwidth = engine_bench.memory_bandwidth(machine.cpu.usable_threads, machine.memory.available)
    layers = first.file.architecture.layers
    on_host = not question.budget.devices or first.settings.gpu_layers <= layers
    most = overrides.threads or machine.cpu.usable_threads
    setups = [
        settings
        for way in ([first, *ways] if on_host else [first])
        for settings in engine_bench.trials(
            replace(way.settings, threads=most), machine.cpu.physical_cores, on_host=on_host
        )
        if overrides.threads in (None, settings.threads)
    ]
    found = _measure(local.path, setups, ui)
    for one in found:
        if not one.steady:
            ui.status(f"{_words(one.settings)}: other programs were busy; not saved.")
            continue
        try:
            reached = (one.prompt_rate, one.decode_rate)
            rates.keep(first, one.settings, reached, bandwidth=bandwidth)
        except OSError as error:
            ui.status(f"Cannot save the result: {error.filename}: {error.strerror}.")
    return MeasuredModel(best=engine_bench.best(found), tuned=tuple(found))


def _ways(
    local: LocalModel, question: PickInput, overrides: LoadOverrides, ui: Ui
) -> Iterator[Prepared]:
    """Prepare as a chat would, with weights as stored in the file and repacked.

    Raises:
        RunError: The file is broken, or does not fit as it was asked for.
    """
    asked = question.wish.repack
    for repack in (False, True) if asked is None else (asked,):
        request = replace(question.wish, repack=repack)
        try:
            yield prepare(local, replace(question, wish=request), overrides)
        except RunError as error:
            if not repack or asked:
                raise
            ui.status(f"Repacked weights are left out. {error.message}")


def _measure(path: Path, setups: list[Settings], ui: Ui) -> list[Measured]:
    """Measure each set-up twice; those with repacked weights are left out where that can't be.

    Raises:
        RunError: The engine can't load or run the model, or none of the set-ups is left.
    """
    passes: dict[Settings, list[Measured]] = {settings: [] for settings in setups}
    for index, settings in enumerate(engine_bench.both_ways(setups)):
        if settings not in passes:
            continue
        ui.status(f"{index + 1} of {2 * len(setups)}: {_words(settings)} ...")
        try:
            passes[settings].append(engine_bench.measure(path, settings))
        except RepackError as error:
            passes = {other: found for other, found in passes.items() if not other.repack}
            if not passes:
                raise
            ui.status(f"Repacked weights are left out. {error.message}")
    return [engine_bench.together(two) for two in passes.values()]


def _words(settings: Settings) -> str:
    threads = units.count(settings.threads, "thread")
    return f"{threads}, weights {'repacked' if settings.repack else 'as stored'}"
