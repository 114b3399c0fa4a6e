"""What fits: `recommend`."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads it
from typing import TYPE_CHECKING, Annotated

from msgspec import Struct
from msgspec.structs import replace

from qwenpick import units
from qwenpick.cli.options import Json, QuantOptions, SettingsOptions, flag, option, spread
from qwenpick.cli.output import emit
from qwenpick.errors import UsageError
from qwenpick.pick.request import USES, Request, check_use

if TYPE_CHECKING:
    from qwenpick.catalog.model import Catalog
    from qwenpick.cli.pages.recommend_json import RecommendDocument
    from qwenpick.pick.fit import PickInput
    from qwenpick.pick.recommendation import Recommendation


class RequestOptions(SettingsOptions, frozen=True, kw_only=True):
    """What is asked for."""

    use: Annotated[str, option("USE", f"One of: {', '.join(USES)}.", "--for")] = "chat"
    vision: Annotated[bool, flag("--vision", "Also take images as input.")] = False
    min_speed: Annotated[float | None, option("TPS", "Minimum tokens per second.")] = None

    def wish(self, size: str | None, quant: str | None, catalog: Catalog) -> Request:
        """Read them.

        Raises:
            UsageError: One of them cannot be understood.
        """
        if self.min_speed is not None and not 0 < self.min_speed < float("inf"):
            raise UsageError(
                f"--min-speed cannot be {self.min_speed:g}.", hint="Try --min-speed 5."
            )
        return replace(
            self.settled(),
            use=check_use(self.use),
            vision=self.vision,
            min_speed=self.min_speed,
            size=_size(size, catalog),
            quant=_quant(quant, catalog),
        )


class MachineOptions(Struct, frozen=True, kw_only=True):
    """Another machine, or another part of this one."""

    ram: Annotated[
        str | None, option("SIZE", "Pretend this much RAM is available and there is no GPU.")
    ] = None
    vram: Annotated[str | None, option("SIZE", "Pretend each GPU has this much free memory.")] = (
        None
    )
    gpu: Annotated[
        list[str] | None,
        option("NAME", "Pretend this GPU is installed ('2x RTX 3090'); repeatable."),
    ] = None
    machine: Annotated[
        Path | None, option("FILE", "Pick for this machine, saved by probe --json.")
    ] = None

    def question(self, wish: Request, catalog: Catalog) -> PickInput:
        """Ask about this machine, or the one that was described.

        Raises:
            UsageError: The description cannot be understood.
        """
        from qwenpick.app.pick_input import MachineOverrides, ask_machine

        overrides = MachineOverrides(
            file=self.machine,
            ram=units.parse_memory(self.ram) if self.ram is not None else None,
            vram=units.parse_memory(self.vram) if self.vram is not None else None,
            gpus=tuple(self.gpu or ()),
        )
        return ask_machine(wish, catalog, overrides)


class RecommendResult(Struct, frozen=True):
    """The pick, with what a page needs beside it."""

    answer: Recommendation
    everything: bool

    def document(self) -> RecommendDocument:
        """Give what `recommend --json` prints."""
        from qwenpick.cli.pages import recommend_json

        return recommend_json.document(self.answer)

    def render(self) -> None:
        """Show it to a person."""
        from qwenpick.cli.pages import recommend_page

        recommend_page.recommendation(self.answer, everything=self.everything)


@spread
def recommend(
    wish: RequestOptions,
    machine: MachineOptions,
    quant: QuantOptions,
    size: Annotated[str | None, option("S", "0.8b, 2b, 4b or 9b.")] = None,
    everything: Annotated[bool, flag("--all", "Every size, every file.")] = False,
    plot: Annotated[Path | None, option("FILE", "Memory against context: svg or png.")] = None,
    as_json: Json = False,
) -> None:
    """Pick a model for this machine, and say why."""
    from qwenpick.catalog.table import load
    from qwenpick.pick.recommendation import recommend as answer

    if plot:
        from qwenpick.cli.pages.plot import check, draw

        check(plot)
    catalog = load()
    question = machine.question(wish.wish(size, quant.chosen(), catalog), catalog)
    found = answer(question, everything=everything)
    if plot:
        draw(question, plot)
    emit(RecommendResult(found, everything), as_json=as_json)


def _size(text: str | None, catalog: Catalog) -> str | None:
    if text is None:
        return None
    model = catalog.model(text)
    if model is None:
        raise UsageError(
            f"Unknown size {text!r}.",
            hint=f"Choose from {', '.join(model.size for model in catalog.models)}.",
        )
    return model.size


def _quant(text: str | None, catalog: Catalog) -> str | None:
    if text is None:
        return None
    for model in catalog.models:
        file = model.file(text)
        if file:
            return file.quant
    import difflib

    known = list(dict.fromkeys(file.quant for model in catalog.models for file in model.files))
    near = difflib.get_close_matches(text.upper(), known, cutoff=0.4) or known
    raise UsageError(f"Unknown quantisation {text!r}.", hint=f"Such as: {', '.join(near)}.")
