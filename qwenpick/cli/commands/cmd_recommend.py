"""`recommend`: which model fits this machine best, and why."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads it
from typing import TYPE_CHECKING, Annotated

from msgspec import Struct
from msgspec.structs import replace

from qwenpick import units
from qwenpick.cli.options import Json, QuantOptions, SettingsOptions, flag, option, spread
from qwenpick.cli.output import emit, status
from qwenpick.errors import UsageError
from qwenpick.pick.request import USES, Request, check_use

if TYPE_CHECKING:
    from qwenpick.catalog.model import Catalog
    from qwenpick.cli.pages.recommend_json import RecommendDocument
    from qwenpick.pick.fit import PickInput
    from qwenpick.pick.recommendation import Recommendation


MOST_USERS = 256
"""Sequences that llama.cpp decodes at once (llama.h: LLAMA_MAX_SEQ)."""


class RequestOptions(SettingsOptions, frozen=True, kw_only=True):
    """What is asked for."""

    use: Annotated[str, option("USE", f"One of: {', '.join(USES)}.", "--for")] = "chat"
    users: Annotated[int, option("N", "Users answered at once, each with a context.")] = 1
    patience: Annotated[float | None, option("SECONDS", "Wait that halves an answer's worth.")] = (
        None
    )
    think: Annotated[bool | None, flag("--think/--no-think", "Think before answering.")] = None
    vision: Annotated[bool, flag("--vision", "Also take images as input.")] = False
    min_speed: Annotated[float | None, option("TPS", "Minimum tokens per second.")] = None

    def wish(self, size: str | None, quant: str | None, catalog: Catalog) -> Request:
        """Read them.

        Raises:
            UsageError: One of them cannot be understood.
        """
        _check(self.min_speed, "--min-speed", "5")
        _check(self.patience, "--patience", "60")
        if not 1 <= self.users <= MOST_USERS:
            raise UsageError(f"--users cannot be {self.users}.", hint=f"Give 1 to {MOST_USERS}.")
        return replace(
            self.settled(),
            use=check_use(self.use),
            users=self.users,
            patience=self.patience,
            thinking=self.think,
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


class RecommendResult(Struct, frozen=True, kw_only=True):
    """The pick, with what a page needs beside it."""

    answer: Recommendation
    everything: bool
    catalog: Catalog

    def document(self) -> RecommendDocument:
        """Give what `recommend --json` prints."""
        from qwenpick.cli.pages import recommend_json

        return recommend_json.document(self.answer)

    def render(self) -> None:
        """Show it to a person."""
        from qwenpick.cli.pages import recommend_page

        recommend_page.recommendation(
            self.answer, everything=self.everything, installed=self.installed()
        )

    def installed(self) -> set[tuple[str, str]]:
        """Find which of the files that are shown are on this disk."""
        from qwenpick.pull import local
        from qwenpick.pull.reference import Size

        answer = self.answer
        shown = [answer.pick, answer.faster, answer.better]
        shown += [other.candidate for other in answer.others] if self.everything else []
        named = {(one.model.size, one.file.quant) for one in shown if one}
        return {
            (size, quant)
            for size, quant in named
            if local.find(Size(size=size, quant=quant), self.catalog)
        }


@spread
def recommend(
    wish: RequestOptions,
    machine: MachineOptions,
    quant: QuantOptions,
    size: Annotated[str | None, option("S", "0.8b, 2b, 4b or 9b.")] = None,
    everything: Annotated[bool, flag("--all", "Every size, every file.")] = False,
    plot: Annotated[Path | None, option("FILE", "Draw memory and quality: svg or png.")] = None,
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
        draw(answer(question, everything=True), plot)
        status(f"Wrote {plot}: memory by context, and quality by seconds.")
    emit(RecommendResult(answer=found, everything=everything, catalog=catalog), as_json=as_json)


def overview() -> None:
    """Show what bare `qwenpick` shows: the pick for a chat on this machine, and where to go on."""
    from qwenpick.catalog.table import load
    from qwenpick.pick.recommendation import recommend as answer

    catalog = load()
    question = MachineOptions().question(Request(), catalog)
    emit(RecommendResult(answer=answer(question), everything=False, catalog=catalog), as_json=False)
    status("All commands: qwenpick --help")


def _check(number: float | None, option: str, example: str) -> None:
    """Check that a number is above zero and finite.

    Raises:
        UsageError: It is not.
    """
    if number is not None and not 0 < number < float("inf"):
        raise UsageError(f"{option} cannot be {number:g}.", hint=f"Try {option} {example}.")


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
