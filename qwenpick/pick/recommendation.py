"""The answer to a question, as facts: the pick, faster, better, what the guide says, what if."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from qwenpick.pick.choose import Candidate, Candidates, choose
from qwenpick.pick.fit import steps
from qwenpick.pick.guide import GuideRow, row_for
from qwenpick.pick.no_fit import NoFitError, no_fit
from qwenpick.pick.profile import FOUR_BITS, bits
from qwenpick.pick.what_if import WhatIf, what_if

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from qwenpick.hardware.machine import Machine
    from qwenpick.pick.budget import Budget
    from qwenpick.pick.fit import PickInput
    from qwenpick.pick.request import Request

Against = Literal[
    "too-big", "min-speed", "too-slow", "gives-up", "other-size", "worse", "slower", "by-name"
]
"""Why a file is not the pick. `gives-up`: it would leave too little memory free, or layers to the
processor; `other-size`: the guide names another size for the use; `by-name`: worth more, but of a
kind that is picked only where it is named."""
Reason = Literal["asked", "guide", "worth", "late"]
"""Why the pick is one: it was asked for; the guide's size answers in time; it is worth most; or so
and nothing answers in time."""
Departure = Literal["asked", "no-file", "too-big", "too-slow", "worth-less"]
"""Why the guide's row is not followed."""

FASTER = 0.7
"""A faster file answers in so much of the pick's time, at most."""
BETTER = 0.5
"""A better file scores so many points more, at least."""


class Other(Struct, frozen=True, kw_only=True):
    """A file that is not the pick, and what is held against it."""

    candidate: Candidate
    against: Against


class GuideVerdict(Struct, frozen=True, kw_only=True):
    """The guide's row for the question, and whether the pick is one of its sizes."""

    row: GuideRow
    departure: Departure | None = None
    """Why the pick is of another size; None where it is one of the row's."""
    nearest: Candidate | None = None
    """The row's largest size: its best file, or the smallest where none fits."""


class Remarks(Struct, frozen=True, kw_only=True):
    """What a person should know beside the pick."""

    unsure_speed: Literal["reference", "guess"] | None = None
    rounded_bytes: bool = False
    """Whether only a rounded size of the file is known."""
    estimated_memory: bool = False
    """Whether the compute buffer is that of a formula."""
    engine_without_gpu: bool = False
    """Whether the pick uses a GPU that the installed engine can't drive."""


class Recommendation(Struct, frozen=True, kw_only=True):
    """The answer to a question: one pick, what is faster and better, and what there is to say."""

    machine: Machine
    wish: Request
    budget: Budget
    longest_context: int
    """Tokens: the first of the use's contexts."""
    patience: float
    """Seconds after which an answer was taken to be worth half."""
    pick: Candidate
    thinker: bool
    """Whether the pick is of a size that thinks well."""
    reason: Reason
    faster: Candidate | None
    better: Candidate | None
    what_if: tuple[WhatIf, ...]
    guide: GuideVerdict
    others: tuple[Other, ...]
    """By value: every file, or the best one of each other size."""
    remarks: Remarks


def recommend(question: PickInput, *, everything: bool = False) -> Recommendation:
    """Answer a question.

    Args:
        question: The machine and the request.
        everything: Whether `others` has every file, or the best one of each other size.

    Raises:
        NoFitError: No file meets what was asked.
    """
    candidates = Candidates(question)
    pick = choose(candidates)
    if pick is None:
        raise NoFitError(no_fit(candidates))
    best = list(_best_of_each(candidates))
    shown = candidates.every() if everything else best
    others = sorted(
        (one for one in shown if one.name != pick.name),
        key=lambda one: (one.verdict == "too-big", -one.value),
    )
    if everything:
        others = [one for one in others if one.name != pick.name]
    else:
        others = [one for one in others if one.model.size != pick.model.size]
    return Recommendation(
        machine=question.machine,
        wish=question.wish,
        budget=question.budget,
        longest_context=next(steps(question)).contexts[0],
        patience=candidates.patience,
        pick=pick,
        thinker=pick.model.size in question.catalog.rules.thinkers,
        reason=_reason(candidates, pick),
        faster=_faster(candidates, pick),
        better=_better(candidates, pick),
        what_if=tuple(what_if(candidates, pick)),
        guide=_guide(candidates, pick, best),
        others=tuple(
            Other(candidate=one, against=_against(candidates, one, pick)) for one in others
        ),
        remarks=_remarks(candidates, pick),
    )


def _alternatives(candidates: Candidates, pick: Candidate) -> Iterator[Candidate]:
    """Give what may stand beside the pick: it fits, and gives up no more than context."""
    may = {*pick.settled.degradations, "context"}
    for entry in candidates.usual:
        one = candidates.of(entry)
        if one.settled.fits and may.issuperset(one.settled.degradations) and one.name != pick.name:
            yield one


def _faster(candidates: Candidates, pick: Candidate) -> Candidate | None:
    found = [one for one in _alternatives(candidates, pick) if one.seconds <= FASTER * pick.seconds]
    return _worth_most(found, pick)


def _better(candidates: Candidates, pick: Candidate) -> Candidate | None:
    found = [
        one
        for one in _alternatives(candidates, pick)
        if one.quality.score >= pick.quality.score + BETTER
    ]
    return _worth_most(found, pick)


def _worth_most(found: Iterable[Candidate], pick: Candidate) -> Candidate | None:
    """Take what is worth most, of another size than the pick where there is one."""
    return max(found, key=lambda one: (one.model is not pick.model, one.value), default=None)


def _best_of_each(candidates: Candidates) -> Iterator[Candidate]:
    """Give each size's file that is worth most; where none fits the smallest, of 4 bits or more."""
    for model in candidates.question.catalog.models:
        usual = [candidates.of(one) for one in candidates.usual if one.model is model]
        fitting = [one for one in usual if one.settled.fits]
        if fitting:
            yield max(fitting, key=lambda one: one.value)
            continue
        rest = [one for one in candidates.entries if one.model is model]
        four_bits = [one for one in rest if bits(one.file.quant) >= FOUR_BITS]
        if files := four_bits or rest:
            yield min(map(candidates.of, files), key=lambda one: one.settled.memory.total)


def _against(candidates: Candidates, one: Candidate, pick: Candidate) -> Against:
    against: Against = "worse" if one.quality.score < pick.quality.score else "slower"
    if one.verdict == "too-big":
        against = "too-big"
    elif not candidates.fast_enough(one.settled):
        against = "min-speed"
    elif one.seconds > candidates.patience and one.seconds > pick.seconds:
        against = "too-slow"
    elif one.value > pick.value:
        against = _despite_worth(candidates, one, pick)
    return against


def _despite_worth(candidates: Candidates, one: Candidate, pick: Candidate) -> Against:
    """Say why a file that is worth more than the pick is not the pick."""
    if set(one.settled.degradations) - set(pick.settled.degradations) or one.settled.tight:
        return "gives-up"
    if one.model.size != pick.model.size:
        return "other-size"
    usual = any(entry.name == one.name for entry in candidates.usual)
    return "gives-up" if usual else "by-name"


def _reason(candidates: Candidates, pick: Candidate) -> Reason:
    question = candidates.question
    if question.wish.size and question.wish.quant:
        return "asked"
    if pick.seconds > candidates.patience:
        return "late"
    sized = any(pick.model.size in sizes for sizes in question.use.sizes)
    return "guide" if sized and question.wish.size is None else "worth"


def _guide(candidates: Candidates, pick: Candidate, best: list[Candidate]) -> GuideVerdict:
    question = candidates.question
    row = row_for(question.machine, question.wish)
    if pick.model.size in row.sizes:
        return GuideVerdict(row=row)
    if question.wish.size:
        return GuideVerdict(row=row, departure="asked")
    nearest = next((one for one in best if one.model.size == row.sizes[-1]), None)
    if nearest is None:
        return GuideVerdict(row=row, departure="no-file")
    departure: Departure = "worth-less"
    if not nearest.settled.fits:
        departure = "too-big"
    elif nearest.seconds > candidates.patience or nearest.seconds > 2 * pick.seconds:
        departure = "too-slow"
    return GuideVerdict(row=row, departure=departure, nearest=nearest)


def _remarks(candidates: Candidates, pick: Candidate) -> Remarks:
    basis, machine = pick.settled.speed.basis, candidates.question.machine
    engine = machine.engine
    return Remarks(
        unsure_speed=basis if basis in {"reference", "guess"} else None,
        rounded_bytes=not pick.file.bytes_exact,
        estimated_memory=pick.settled.memory.estimated,
        engine_without_gpu=bool(pick.settled.settings.gpu_layers)
        and engine.installed
        and not any(map(engine.drives, machine.gpus)),
    )
