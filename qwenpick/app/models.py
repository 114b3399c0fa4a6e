"""From a MODEL, or from none, to a file on this disk: one way for all commands.

What is asked about is a `PickInput`, and the answer a `LocalModel`: the model's identity, found
once, which travels from here on. What was used last is remembered in QWENPICK_HOME/last.json.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from qwenpick import files, units
from qwenpick.app.local_model import identify
from qwenpick.app.pick_input import ask_machine
from qwenpick.app.projectors import find_projector
from qwenpick.app.pulls import pull_asked
from qwenpick.errors import (
    EngineMissingError,
    PullError,
    RunError,
    UsageError,
)
from qwenpick.pick.request import Request
from qwenpick.pull.reference import Demo, LocalFile, Size, parse

if TYPE_CHECKING:
    from qwenpick.app.local_model import LocalModel
    from qwenpick.app.ui import Ui
    from qwenpick.catalog.model import Catalog
    from qwenpick.hardware.machine import EngineBuild
    from qwenpick.pick.choose import Candidate
    from qwenpick.pick.fit import PickInput
    from qwenpick.pull.reference import Reference

_INSTALL = "Run: qwenpick engine install"


class Choice(Struct, frozen=True, kw_only=True):
    """Which file a MODEL means, and why where it named no file."""

    reference: Reference
    why: str = ""
    """Such as "the one used last"; empty where the MODEL says it all."""
    pick: Size | None = None
    """What `recommend` picks for the same words, where that was asked."""
    asked: PickInput
    """The question, with the size and the quantisation of these words."""


class LastUsed(Struct, frozen=True, kw_only=True):
    """The document that remembers which file was used last."""

    path: str
    size: str | None = None
    """Of a file of the catalogue, with its quantisation."""
    quant: str | None = None


def which_file(model: str | None, quant: str | None, question: PickInput) -> Choice:
    """Say which file a MODEL means: without one, or of a size, what is installed comes first.

    Raises:
        UsageError: There is no such model.
        NothingFitsError: Nothing is installed, and there is no pick.
    """
    from qwenpick.pick.choose import Candidates, choose

    named, question = _asked(model, quant, question)
    if named and (not isinstance(named, Size) or named.quant):
        return Choice(reference=named, asked=question)
    best = choose(Candidates(question))
    pick = _size(best) if best else None
    if not named and (last := _last_used(quant, question.catalog)):
        return Choice(reference=last, why="the model used last", pick=pick, asked=question)
    if here := _best_installed(question):
        kind = f"{here.model.size.upper()} file" if named else "file that fits"
        return Choice(
            reference=_size(here), why=f"the best installed {kind}", pick=pick, asked=question
        )
    return Choice(reference=pick or picked(model, quant, question), pick=pick, asked=question)


def picked(model: str | None, quant: str | None, question: PickInput) -> Reference:
    """Give what to download for a MODEL, whatever is installed; without one, the pick.

    Raises:
        UsageError: There is no such model.
        NothingFitsError: There is no pick of this size.
    """
    from qwenpick.pick.recommendation import recommend

    named, question = _asked(model, quant, question)
    if named and (not isinstance(named, Size) or named.quant):
        return named
    return _size(recommend(question).pick)


def _asked(
    model: str | None, quant: str | None, question: PickInput
) -> tuple[Reference | None, PickInput]:
    """Read a MODEL, and ask for its size and quantisation."""
    named = parse(model, quant, question.catalog) if model else None
    size = named.size if isinstance(named, Size) else None
    return named, replace(question, wish=replace(question.wish, size=size, quant=quant))


def resolve(  # noqa: PLR0913 - what the command line says of a model
    model: str | None,
    quant: str | None,
    question: PickInput,
    ui: Ui,
    *,
    vision: bool = False,
    or_demo: bool = False,
) -> LocalModel:
    """Find the file of a MODEL; what is not installed is downloaded after a question.

    Args:
        model: As typed; None for what was used last, else what is installed, else the pick.
        quant: The quantisation asked for, None for any.
        question: The machine and what is asked for.
        ui: Who is told and asked.
        vision: Whether images will be shown, so that a projector is needed.
        or_demo: Whether the demo is offered where no hub can be reached.

    Raises:
        UsageError: There is no such model, or nobody to ask.
        NothingFitsError: There is no pick.
        RunError: No engine is installed that could run it.
        PullError: It could not be downloaded, or was refused.
    """
    choice = which_file(model, quant, question)
    _check_engine(question.machine.engine, choice.reference)
    vision = vision or question.wish.vision
    try:
        local = _find(choice, question, ui, vision=vision)
    except PullError as error:
        if not getattr(error, "unreachable", False):
            raise
        local = _demo_instead(error, ui, question.catalog, ask=or_demo)
    if vision:
        local = replace(local, projector=find_projector(local, question.catalog, ui))
    return local


def installed_reference(model: str, quant: str | None, catalog: Catalog, ui: Ui) -> Reference:
    """Say which installed file a MODEL means: of a size, the best of its files.

    Raises:
        UsageError: There is no such model.
    """
    named = parse(model, quant, catalog)
    if not isinstance(named, Size) or named.quant:
        return named
    best = _best_installed(ask_machine(Request(size=named.size), catalog))
    if not best:
        return named
    name = f"{best.model.name} {best.file.quant}"
    ui.status(f"Using {name}, the best installed {best.model.size.upper()} file.")
    return _size(best)


def remember(local: LocalModel) -> None:
    """Remember that a model was used; a home that cannot be written to does not matter."""
    by_name = local.model is not None and local.file is None
    last = LastUsed(
        path=str(local.path.absolute()),
        size=local.size if by_name else None,
        quant=local.quant if by_name else None,
    )
    with suppress(OSError, UnicodeError):  # a name that is not UTF-8
        files.write(files.home() / "last.json", msgspec.json.encode(last))


def _last_used(quant: str | None, catalog: Catalog) -> Size | LocalFile | None:
    """Give the file that was used last, if it is still here and of the quantisation asked for."""
    from qwenpick.pull import local as disk

    try:
        last = files.document(files.home() / "last.json", LastUsed, what="the last used model in")
    except UsageError:
        return None
    if quant and quant.casefold() != (last.quant or "").casefold():
        return None
    if last.size and last.quant and catalog.model(last.size):
        size = Size(size=last.size, quant=last.quant)
        return size if disk.find(size, catalog) else None
    path = Path(last.path)
    with suppress(OSError):
        return LocalFile(path=path) if path.is_file() else None
    return None


def _best_installed(question: PickInput) -> Candidate | None:
    """Judge the catalogue's installed files as the pick does; of a size, one is always best.

    Less memory than usual costs context before it costs the file: any that fits with 4k will do.
    """
    from qwenpick.pick.choose import Candidates, choose
    from qwenpick.pull.inventory import installed

    here = {
        (one.size, one.quant)
        for one in installed(question.catalog)
        if one.size and one.quant and not one.beside
    }
    candidates = Candidates(question).only(here)
    if not candidates.entries:
        return None
    best = choose(candidates)
    if best or not question.wish.size:
        return best
    return min(candidates.every(), key=lambda one: one.settled.memory.total)


def _find(choice: Choice, question: PickInput, ui: Ui, *, vision: bool) -> LocalModel:
    """Find a chosen file on this disk, else download it after a question."""
    from qwenpick.pull import local as disk

    catalog, reference = question.catalog, choice.reference
    found = disk.find(reference, catalog, ui)
    if isinstance(reference, Demo) and not found:
        raise UsageError(
            "The demo model is not installed.", hint='Run: pip install "qwenpick[demo]"'
        )
    if not found:
        if choice.pick == reference:
            _show_pick(choice.asked, ui)
        path = pull_asked(reference, catalog, ui, vision=vision)
        return identify(path, "hf", catalog, reference)
    local = identify(found.path, found.source, catalog, reference)
    if choice.why:
        ui.status(f"Using {local.label}, {choice.why}.{_other_pick(choice, local)}")
    return local


def _other_pick(choice: Choice, local: LocalModel) -> str:
    """Name the pick for this machine where it is another file."""
    pick = choice.pick
    if not pick or (pick.size, pick.quant) == (local.size, local.quant):
        return ""
    name = f"{pick.size}:{pick.quant}"
    return f" The pick for this machine is {pick.size.upper()} {pick.quant}: qwenpick chat {name}"


def _demo_instead(error: PullError, ui: Ui, catalog: Catalog, *, ask: bool) -> LocalModel:
    """Offer the demo where no hub can be reached, or name it.

    Raises:
        PullError: It is not installed, not wanted, or there is nobody to ask.
    """
    from qwenpick.pull import local as disk

    demo = disk.demo()
    if demo and ask:
        with suppress(UsageError):  # nobody to ask
            if ui.confirm(f"{error.message}\nUse the small demo model instead?"):
                return identify(demo, "demo", catalog)
    get = "qwenpick chat demo" if demo else 'pip install "qwenpick[demo]"'
    error.hint += f" There is a small demo model that needs no hub: {get}"
    raise error


def _check_engine(engine: EngineBuild, reference: Reference) -> None:
    """Check that there is an engine, before bytes move for it.

    Raises:
        RunError: There is none, or one that is older than the family.
    """
    if not engine.installed:
        raise EngineMissingError("The engine is not installed.", hint=_INSTALL)
    if isinstance(reference, Size) and engine.knows_qwen35 is False:
        raise RunError(
            f"The installed engine, {engine.version}, is too old for Qwen3.5.", hint=_INSTALL
        )


def _show_pick(question: PickInput, ui: Ui) -> None:
    """Show a pick in three lines: which, what it takes, and why."""
    from qwenpick.pick.recommendation import recommend

    answer = recommend(question)
    settled, file = answer.pick.settled, answer.pick.file
    parts = [
        f"{units.download(file.bytes)} to download",
        f"{units.memory(settled.memory.total)} of {units.memory(answer.budget.total)}",
        f"about {units.rate(settled.speed.decode)} tokens/s",
        f"{units.context(settled.settings.context)} context",
    ]
    ui.status(f"{answer.pick.model.name}  {file.quant}")
    ui.status(", ".join(parts))
    ui.status(f"The best answers for the wait, within {units.memory(answer.budget.total)}.")


def _size(candidate: Candidate) -> Size:
    return Size(size=candidate.model.size, quant=candidate.file.quant)
