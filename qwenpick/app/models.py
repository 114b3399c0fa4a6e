"""From a MODEL to its file: what is here, else what is pulled after a question."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from msgspec.structs import replace

from qwenpick import units
from qwenpick.cli.output import ask, status
from qwenpick.errors import EngineMissingError, PullError, RunError, UsageError
from qwenpick.pull.reference import Demo, Size, parse

if TYPE_CHECKING:
    from pathlib import Path

    from qwenpick.hardware.machine import EngineBuild
    from qwenpick.pick.fit import PickInput
    from qwenpick.pick.recommendation import Recommendation
    from qwenpick.pull.reference import Reference

_INSTALL = "Type: qwenpick engine install"


def locate(
    model: str | None, quant: str | None, question: PickInput, *, yes: bool = False
) -> tuple[Path, str | None]:
    """Find the file of a MODEL, without one that of the pick; gives the size, too.

    What is not here is pulled after a question, a pick shown in three lines before it.

    Raises:
        UsageError: There is no such model, or no terminal to ask on.
        NothingFitsError: There is no pick.
        RunError: There is no engine here that could run it.
        PullError: It could not be pulled, or was not wanted.
    """
    from qwenpick.pull import local

    reference, picked = _reference(model, quant, question)
    _check_engine(question.machine.engine, reference)
    size = reference.size if isinstance(reference, Size) else None
    found = local.find(reference, question.catalog)
    if found:
        if size and question.wish.vision:
            locate_projector(found.path, reference, question, yes=yes)
        return found.path, size
    if isinstance(reference, Demo):
        raise UsageError(
            "The demo model is not installed here.", hint='Type: pip install "qwenpick[demo]"'
        )
    if picked:
        _show(picked)
    return _pull(reference, question, yes=yes), size


def locate_or_demo(
    model: str | None, quant: str | None, question: PickInput, *, yes: bool
) -> tuple[Path, str | None]:
    """Find a file as `locate` does; where no hub can be reached, offer the demo, or name it.

    `--yes` does not stand for another model than the one that was asked for.
    """
    from qwenpick.pull import local

    try:
        return locate(model, quant, question, yes=yes)
    except PullError as error:
        if not getattr(error, "unreachable", False):
            raise
        demo = local.demo()
        if demo and not yes and sys.stdin.isatty() and sys.stderr.isatty():
            status(error.message)
            if ask("Talk to the demo model instead?", yes=False):
                return demo, None
        get = "qwenpick chat demo" if demo else 'pip install "qwenpick[demo]"'
        error.hint += f" Without a hub there is the small demo: {get}"
        raise


def locate_projector(
    path: Path, reference: Reference | None, question: PickInput, *, yes: bool = False
) -> Path:
    """Find the projector of a model's file: beside it, else its size's, pulled after a question.

    Args:
        path: The model's file.
        reference: What it is of the catalogue, None for a file that is not of it.
        question: Whose catalogue it is.
        yes: Whether the question is answered.

    Raises:
        RunError: There is none, so the model can't see.
        UsageError: There is no terminal to ask on.
        PullError: It could not be pulled, or was not wanted.
    """
    from qwenpick.pull import local

    if beside := sorted(path.parent.glob("mmproj*.gguf")):
        return beside[0]
    if not isinstance(reference, Size):
        raise RunError(
            f"Pictures need a projector (mmproj-*.gguf) beside {path.name}.",
            hint="Put the model's own there; of a size it is: qwenpick pull MODEL --vision",
        )
    if not local.find_projector(reference.size, question.catalog):
        seeing = replace(question, wish=replace(question.wish, vision=True))
        _pull(reference, seeing, yes=yes, what="the projector of ")
    found = local.find_projector(reference.size, question.catalog)
    if not found:
        raise RunError("The projector was pulled, and is not here.", hint="Type: qwenpick doctor")
    return found


def _reference(
    model: str | None, quant: str | None, question: PickInput
) -> tuple[Reference, Recommendation | None]:
    """Read a MODEL; without one, take the pick, and give the words beside it."""
    if model:
        return parse(model, quant, question.catalog), None
    from qwenpick.pick.recommendation import recommend

    answer = recommend(question)
    pick = Size(size=answer.pick.model.size, quant=answer.pick.file.quant)
    reference = parse(pick.size, quant or pick.quant, question.catalog)
    return reference, answer if reference == pick else None


def _check_engine(engine: EngineBuild, reference: Reference) -> None:
    """Check that there is an engine, before bytes move for it.

    Raises:
        RunError: There is none, or one that is older than the family.
    """
    if not engine.installed:
        raise EngineMissingError("The engine is not installed here.", hint=_INSTALL)
    if isinstance(reference, Size) and engine.knows_qwen35 is False:
        raise RunError(f"The engine here, {engine.version}, is older than Qwen3.5.", hint=_INSTALL)


def _show(answer: Recommendation) -> None:
    """Show a pick in three lines: which, what it takes, and why."""
    from qwenpick.cli.pages import recommend_page, recommend_words

    status(f"{answer.pick.model.name}  {answer.pick.file.quant}")
    status(recommend_page.facts(answer))
    status(recommend_words.reason(answer) + ".")


def _pull(reference: Reference, question: PickInput, *, yes: bool, what: str = "") -> Path:
    """Pull a file after a question, which *what* begins where it is about a part of it."""
    from qwenpick.cli.progress import Progress
    from qwenpick.pull import download, planner

    progress = Progress()
    try:
        options = planner.PullOptions(progress=progress, vision=question.wish.vision)
        plan = planner.make_plan(reference, question.catalog, options)
        size = units.download(plan.missing)
        gone = f"{what}{plan.title} is not here."
        gone = gone[0].upper() + gone[1:]
        if not ask(f"{gone} Fetch {size}?", yes=yes):
            raise PullError(gone, hint="Talk to another: qwenpick list")
        return download.download(plan, planner.source_of("hf"), progress).path
    finally:
        progress.end()
