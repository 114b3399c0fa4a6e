"""Measure this machine with a model: `bench`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct, to_builtins
from msgspec.structs import replace

from qwenpick.cli.chat_options import LoadOptions  # noqa: TC001 - typer reads it
from qwenpick.cli.options import Json, ModelArgument, QuantOptions, spread
from qwenpick.cli.output import emit, status
from qwenpick.errors import RepackError, RunError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from qwenpick.app.loader import LoadOverrides, Prepared
    from qwenpick.engine.bench import Measured
    from qwenpick.pick.fit import PickInput
    from qwenpick.pick.request import Settings


class BenchResult(Struct, frozen=True, kw_only=True):
    """What was measured, and which set-up is the best."""

    model: dict[str, Any]
    best: Measured
    tuned: list[Measured]

    def to_json(self) -> dict[str, Any]:
        """Give the document of `bench --json`."""
        return {
            "model": self.model,
            "settings": to_builtins(self.best.settings),
            "prompt_rate": self.best.prompt_rate,
            "decode_rate": self.best.decode_rate,
            "first_token_seconds": self.best.first_token_seconds,
            "memory": self.best.buffers,
            "tuned": [
                {
                    "threads": one.settings.threads,
                    "repack": one.settings.repack,
                    "prompt_rate": one.prompt_rate,
                    "decode_rate": one.decode_rate,
                    "first_token_seconds": one.first_token_seconds,
                    "memory": one.buffers,
                    "steady": one.steady,
                }
                for one in self.tuned
            ],
        }

    def render(self) -> None:
        """Show it to a person."""
        from qwenpick import units
        from qwenpick.cli import render

        rows = [
            (
                ">" if one is self.best else "",
                str(one.settings.threads),
                "yes" if one.settings.repack else "no",
                units.rate(one.prompt_rate),
                units.rate(one.decode_rate),
                units.memory(sum(one.buffers.values())),
            )
            for one in self.tuned
        ]
        head = ("", "threads", "repacked", "prompt tok/s", "decode tok/s", "memory")
        render.columns(render.console(), head, rows)


@spread
def bench(
    load: LoadOptions, quant: QuantOptions, model: ModelArgument = None, as_json: Json = False
) -> None:
    """Measure a model here, and keep the result: later estimates use it."""
    from qwenpick.app import loader
    from qwenpick.app.models import locate
    from qwenpick.catalog.table import load as load_catalog

    question = loader.question_for(load.wish(vision=False), load_catalog())
    path, size = locate(model, quant.chosen(), question)
    demands = loader.LoadOverrides(threads=load.threads, force=load.force)
    ways = _ways(path, size, question, demands)
    checked = next(ways)
    from qwenpick.app import rates
    from qwenpick.engine import bench as measuring

    machine = question.machine
    bandwidth = measuring.memory_bandwidth(machine.cpu.usable_threads, machine.memory.available)
    layers = checked.file.architecture.layers
    on_host = not question.budget.devices or checked.settings.gpu_layers <= layers
    most = load.threads or machine.cpu.usable_threads
    setups = [
        settings
        for way in ([checked, *ways] if on_host else [checked])
        for settings in measuring.trials(
            replace(way.settings, threads=most), machine.cpu.physical_cores, on_host=on_host
        )
        if load.threads in (None, settings.threads)
    ]
    found = _measure(path, setups)
    for one in found:
        if not one.steady:
            status(f"{_said(one.settings)}: the machine had other work to do; it is not kept.")
            continue
        rates.keep(
            path,
            one.settings,
            (one.prompt_rate, one.decode_rate),
            size=checked.model.size if checked.model else None,
            quant=checked.quant,
            bandwidth=bandwidth,
        )
    emit(
        BenchResult(model=checked.model_json(), best=measuring.best(found), tuned=found),
        as_json=as_json,
    )


def _ways(
    path: Path, size: str | None, question: PickInput, demands: LoadOverrides
) -> Iterator[Prepared]:
    """Settle the settings as a chat would, with weights as they are in the file and repacked.

    Raises:
        RunError: The file is broken, or does not fit as it was asked for.
    """
    from qwenpick.app.loader import check

    asked = question.wish.repack
    for repack in (False, True) if asked is None else (asked,):
        wish = replace(question.wish, repack=repack)
        try:
            yield check(path, size, replace(question, wish=wish), demands)
        except RunError as error:
            if not repack or asked:
                raise
            status(f"Repacked weights are left out. {error.message}")


def _measure(path: Path, setups: list[Settings]) -> list[Measured]:
    """Measure each set-up twice; those with repacked weights are left out where that can't be.

    Raises:
        RunError: The engine can't load or run the model, or none of the set-ups is left.
    """
    from qwenpick.engine import bench as measuring

    passes: dict[Settings, list[Measured]] = {settings: [] for settings in setups}
    for index, settings in enumerate(measuring.both_ways(setups)):
        if settings not in passes:
            continue
        status(f"{index + 1} of {2 * len(setups)}: {_said(settings)} ...")
        try:
            passes[settings].append(measuring.measure(path, settings))
        except RepackError as error:
            passes = {other: found for other, found in passes.items() if not other.repack}
            if not passes:
                raise
            status(f"Repacked weights are left out. {error.message}")
    return [measuring.together(two) for two in passes.values()]


def _said(settings: Settings) -> str:
    threads = "1 thread" if settings.threads == 1 else f"{settings.threads} threads"
    return f"{threads}, {'repacked' if settings.repack else 'as in the file'}"
