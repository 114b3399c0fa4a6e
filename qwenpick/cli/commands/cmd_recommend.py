"""What fits: `recommend` and `guide`."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path  # noqa: TC003 - typer reads it
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qwenpick import units
from qwenpick.cli.options import Json, QuantOptions, SettingsOptions, spread
from qwenpick.cli.output import emit
from qwenpick.errors import UsageError
from qwenpick.pick.guide import ROWS, GuideRow, row_for
from qwenpick.pick.wish import USES, Wish, check_use

if TYPE_CHECKING:
    from qwenpick.catalog.model import Catalog
    from qwenpick.hardware.machine import Machine
    from qwenpick.pick.explain import Recommendation
    from qwenpick.pick.settle import Question


@dataclass(frozen=True, slots=True, kw_only=True)
class WishOptions(SettingsOptions):
    """What is asked for."""

    use: Annotated[
        str, typer.Option("--for", metavar="USE", help=f"One of: {', '.join(USES)}.")
    ] = "chat"
    vision: Annotated[bool, typer.Option("--vision", help="With pictures.")] = False
    min_speed: Annotated[
        float | None, typer.Option(metavar="TPS", help="Tokens per second at the least.")
    ] = None

    def wish(self, size: str | None, quant: str | None, catalog: Catalog) -> Wish:
        """Read them.

        Raises:
            UsageError: One of them can't be understood.
        """
        if self.min_speed is not None and not 0 < self.min_speed < float("inf"):
            raise UsageError(
                f"--min-speed {self.min_speed:g} is no speed.", hint="Try --min-speed 5."
            )
        return replace(
            self.settled(),
            use=check_use(self.use),
            vision=self.vision,
            min_speed=self.min_speed,
            size=_size(size, catalog),
            quant=_quant(quant, catalog),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineOptions:
    """Another machine than this one, or another part of it."""

    ram: Annotated[
        str | None, typer.Option(metavar="SIZE", help="RAM that a model may use; no GPU.")
    ] = None
    vram: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Memory of each card that it may use.")
    ] = None
    gpu: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A card, or '2x RTX 3090'; repeated.")
    ] = None
    machine: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A machine, from probe --json.")
    ] = None

    def question(self, wish: Wish, catalog: Catalog) -> Question:
        """Ask about this machine, or the one that was described.

        Raises:
            UsageError: What was described can't be understood.
        """
        from qwenpick.hardware import measured  # noqa: PLC0415 - what is not needed for --help
        from qwenpick.pick.settle import Question  # noqa: PLC0415 - the same

        ram = units.parse_memory(self.ram) if self.ram is not None else None
        vram = units.parse_memory(self.vram) if self.vram is not None else None
        machine = read_machine(self.machine) if self.machine else _probe()
        if ram or vram or self.gpu:
            from qwenpick.hardware.imagine import imagine  # noqa: PLC0415 - reads the cards

            machine = imagine(machine, ram=ram, vram=vram, gpus=self.gpu or ())
        return Question(
            catalog=catalog,
            machine=machine,
            wish=replace(wish, ram=ram, vram=vram),
            measured=() if self.machine or self.gpu else measured.load(),
        )


@dataclass(frozen=True, slots=True)
class Recommended:
    """The pick, with what a page needs beside it."""

    answer: Recommendation
    everything: bool

    def to_json(self) -> dict[str, Any]:
        """Give the document of `recommend --json`."""
        return self.answer.to_json()

    def page(self) -> None:
        """Show it to a person."""
        from qwenpick.cli import recommend_page  # noqa: PLC0415 - rich costs 40 ms

        recommend_page.recommendation(self.answer, everything=self.everything)


@dataclass(frozen=True, slots=True)
class Guide:
    """The published table, and the row that this machine falls into."""

    here: GuideRow

    def to_json(self) -> dict[str, Any]:
        """Give the document of `guide --json`."""
        return {
            "rows": [
                {
                    "requirement": row.requirement,
                    "sizes": list(row.sizes),
                    "reason": row.reason,
                    "here": row is self.here,
                }
                for row in ROWS
            ]
        }

    def page(self) -> None:
        """Show it to a person."""
        from qwenpick.cli import recommend_page  # noqa: PLC0415 - rich costs 40 ms

        recommend_page.guide(self.here)


@spread
def recommend(
    wish: WishOptions,
    machine: MachineOptions,
    quant: QuantOptions,
    size: Annotated[str | None, typer.Option(metavar="S", help="0.8b, 2b, 4b or 9b.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every size, every file.")] = False,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Memory against context: svg or png.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Pick a size, a quantisation and settings for this machine, and say why."""
    from qwenpick.catalog.table import load  # noqa: PLC0415 - not needed for --help
    from qwenpick.pick.explain import recommend as answer  # noqa: PLC0415 - the same

    if plot:
        from qwenpick.cli.plot import check, draw  # noqa: PLC0415 - only where it is asked for

        check(plot)
    catalog = load()
    question = machine.question(wish.wish(size, quant.chosen(), catalog), catalog)
    found = answer(question, everything=everything)
    if plot:
        draw(question, plot)
    emit(Recommended(found, everything), as_json=as_json)


def guide(as_json: Json = False) -> None:
    """Show the published table, with the row that this machine falls into."""
    emit(Guide(row_for(_probe(), Wish())), as_json=as_json)


def _probe() -> Machine:
    from qwenpick.hardware.probe import probe  # noqa: PLC0415 - psutil costs 25 ms

    return probe()


def read_machine(path: Path) -> Machine:
    """Read a machine file, as `probe --json` writes it.

    Raises:
        UsageError: It can't be read, or is no machine file.
    """
    from qwenpick.hardware.machine import Machine  # noqa: PLC0415 - not needed for --help

    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"The machine file {path} can't be read: {error}.",
            hint="Make one with: qwenpick probe --json > machine.json",
        ) from None
    return Machine.from_json(document)


def _size(text: str | None, catalog: Catalog) -> str | None:
    if text is None:
        return None
    model = catalog.model(text)
    if model is None:
        raise UsageError(
            f"{text!r} is no size.",
            hint=f"Sizes: {', '.join(model.size for model in catalog.models)}.",
        )
    return model.size


def _quant(text: str | None, catalog: Catalog) -> str | None:
    if text is None:
        return None
    for model in catalog.models:
        file = model.file(text)
        if file:
            return file.quant
    import difflib  # noqa: PLC0415 - only to help

    known = list(dict.fromkeys(file.quant for model in catalog.models for file in model.files))
    near = difflib.get_close_matches(text.upper(), known, cutoff=0.4) or known
    raise UsageError(
        f"{text!r} is no quantisation of these models.", hint=f"Such as: {', '.join(near)}."
    )
