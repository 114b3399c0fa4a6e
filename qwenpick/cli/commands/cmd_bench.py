"""Measure this machine with a model: `bench`."""

from __future__ import annotations

from msgspec import convert
from msgspec.structs import asdict

from qwenpick.cli.chat_options import LoadOptions  # noqa: TC001 - typer reads it
from qwenpick.cli.documents import Document, ModelDocument, Part
from qwenpick.cli.options import Json, ModelArgument, QuantOptions, spread
from qwenpick.cli.output import emit
from qwenpick.pick.request import Settings


class TunedSettings(Part, frozen=True, kw_only=True):
    """What one set-up reached; rates in tokens per second, memory in bytes."""

    threads: int
    repack: bool
    prompt_rate: float
    decode_rate: float
    first_token_seconds: float
    memory: dict[str, int]
    steady: bool
    """Whether its two passes agree; where they do not, it is not saved."""


class BenchDocument(Document, frozen=True, kw_only=True):
    """What `bench --json` prints: the best set-up, and all that were measured."""

    model: ModelDocument
    settings: Settings
    prompt_rate: float
    decode_rate: float
    first_token_seconds: float
    memory: dict[str, int]
    tuned: list[TunedSettings]

    def render(self) -> None:
        """Show it to a person."""
        from qwenpick import units
        from qwenpick.cli import render

        best = (self.settings.threads, self.settings.repack)
        rows = [
            (
                ">" if (one.threads, one.repack) == best else "",
                str(one.threads),
                "yes" if one.repack else "no",
                units.rate(one.prompt_rate),
                units.rate(one.decode_rate),
                units.memory(sum(one.memory.values())),
            )
            for one in self.tuned
        ]
        head = ("", "threads", "repacked", "prompt tok/s", "decode tok/s", "memory")
        render.columns(render.console(), head, rows)


@spread
def bench(
    load: LoadOptions, quant: QuantOptions, model: ModelArgument = None, as_json: Json = False
) -> None:
    """Measure a model's speed on this machine.

    Later estimates use the result.
    """
    from qwenpick.app import models
    from qwenpick.app.loader import LoadOverrides
    from qwenpick.app.pick_input import ask_machine, usable_by_engine
    from qwenpick.catalog.table import load as load_catalog
    from qwenpick.cli.ui import TerminalUi

    with TerminalUi() as ui:
        question = usable_by_engine(ask_machine(load.wish(vision=False), load_catalog()), ui)
        local = models.resolve(model, quant.chosen(), question, ui)
        overrides = LoadOverrides(threads=load.threads, force=load.force)
        from qwenpick.app.measure import measure_model  # after the check that there is an engine

        found = measure_model(local, question, overrides, ui)
        models.remember(local)
    tuned = [convert(asdict(one.settings) | asdict(one), TunedSettings) for one in found.tuned]
    about = {"model": ModelDocument.of(local), "tuned": tuned}
    emit(convert(asdict(found.best) | about, BenchDocument), as_json=as_json)
