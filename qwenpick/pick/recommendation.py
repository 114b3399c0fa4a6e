"""The answer to a question, as facts: the pick, the others, what the guide says, what if."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from qwenpick.pick.choose import Candidate, Candidates, choose
from qwenpick.pick.guide import GuideRow, row_for
from qwenpick.pick.no_fit import NoFitError, no_fit
from qwenpick.pick.profile import FOUR_BITS, bits
from qwenpick.pick.what_if import WhatIf, what_if

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qwenpick.hardware.machine import Machine
    from qwenpick.pick.budget import Budget
    from qwenpick.pick.fit import PickInput
    from qwenpick.pick.request import Request

Against = Literal["too-big", "too-slow", "speed-unknown", "no-better", "worse", "other-size"]
"""Why a file is not the pick: `no-better` is as good and larger, `other-size` fits and scores
more, but the use takes another size."""
Reason = Literal["best", "best-of-size", "fastest"]
"""Why the pick is one: the best answers, the best of the size that the use takes, or the
fastest where nothing reaches the floor of speed."""
Departure = Literal["asked", "no-file", "too-big", "too-slow", "speed-unknown", "scores-less"]
"""Why the guide's row is not followed."""


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
    """Of the row's largest size: the smallest file where none fits, else the fastest."""


class Remarks(Struct, frozen=True, kw_only=True):
    """What a person should know beside the pick."""

    speed: Literal["unknown", "reference"] | None = None
    below_four_bits: Candidate | None = None
    """A larger size that fits only below 4 bits, as its best file."""
    rounded_bytes: bool = False
    """Whether only a rounded size of the file is known."""
    engine_without_gpu: bool = False
    """Whether the pick uses a GPU that the installed engine can't drive."""


class Recommendation(Struct, frozen=True, kw_only=True):
    """The answer to a question: one pick, the others, and what there is to say."""

    machine: Machine
    wish: Request
    budget: Budget
    pick: Candidate
    floor: float | None
    """Tokens per second that the pick had to reach."""
    reason: Reason
    what_if: tuple[WhatIf, ...]
    guide: GuideVerdict
    others: tuple[Other, ...]
    remarks: Remarks


def recommend(question: PickInput, *, everything: bool = False) -> Recommendation:
    """Answer a question.

    Args:
        question: The machine and the wish.
        everything: Whether `others` has every file, or the best one of each other size.

    Raises:
        NoFitError: No file meets what was asked.
    """
    candidates = Candidates(question)
    pick = choose(candidates)
    if pick is None:
        raise NoFitError(no_fit(candidates))
    others = candidates.walk(lambda *_: True) if everything else _best_of_each(candidates, pick)
    return Recommendation(
        machine=question.machine,
        wish=question.wish,
        budget=question.budget,
        pick=pick,
        floor=candidates.floor,
        reason=_reason(candidates, pick),
        what_if=tuple(what_if(candidates, pick)),
        guide=_guide(candidates, pick),
        others=tuple(
            Other(candidate=one, against=_against(one, pick))
            for one in others
            if one.name != pick.name
        ),
        remarks=_remarks(candidates, pick),
    )


def _best_of_each(candidates: Candidates, pick: Candidate) -> Iterator[Candidate]:
    """Give the best file of each other size: one that will do, else that fits, else 4 bits."""
    for model in candidates.question.catalog.models:
        if model.size == pick.model.size:
            continue
        files = [
            (file, score)
            for of_model, file, score in candidates.files
            if of_model is model and bits(file.quant) >= FOUR_BITS
        ]
        ranked = (candidates.of(model, file, score) for file, score in files)
        best = next((one for one in ranked if one.good), None)
        if best:
            yield best
        elif files:
            yield max(
                (candidates.of(model, file, score) for file, score in files),
                key=lambda one: (one.settled.fits, one.settled.speed.decode or 0),
            )


def _against(one: Candidate, pick: Candidate) -> Against:
    if one.verdict == "too-big":
        return "too-big"
    if one.verdict == "too-slow":
        return "speed-unknown" if one.settled.speed.decode is None else "too-slow"
    if one.quality == pick.quality:
        return "no-better"
    return "worse" if one.quality < pick.quality else "other-size"


def _reason(candidates: Candidates, pick: Candidate) -> Reason:
    if pick.verdict == "too-slow":
        return "fastest"
    wish = candidates.question.wish
    sized = wish.size is None and wish.use in {"mobile", "iot", "agent"}
    return "best-of-size" if sized else "best"


def _guide(candidates: Candidates, pick: Candidate) -> GuideVerdict:
    question = candidates.question
    row = row_for(question.machine, question.wish)
    if pick.model.size in row.sizes:
        return GuideVerdict(row=row)
    if question.wish.size:
        return GuideVerdict(row=row, departure="asked")
    model = question.catalog.model(row.sizes[-1])
    tried = [
        candidates.of(of_model, file, score)
        for of_model, file, score in candidates.files
        if of_model is model and bits(file.quant) >= FOUR_BITS
    ]
    fitting = [one for one in tried if one.settled.fits]
    if not tried:
        return GuideVerdict(row=row, departure="no-file")
    if not fitting:
        least = min(tried, key=lambda one: one.settled.memory.total)
        return GuideVerdict(row=row, departure="too-big", nearest=least)
    fast = max(fitting, key=lambda one: one.settled.speed.decode or 0)
    if fast.verdict != "too-slow":
        return GuideVerdict(row=row, departure="scores-less", nearest=fitting[0])
    slow: Departure = "speed-unknown" if fast.settled.speed.decode is None else "too-slow"
    return GuideVerdict(row=row, departure=slow, nearest=fast)


def _remarks(candidates: Candidates, pick: Candidate) -> Remarks:
    speed, engine = pick.settled.speed, candidates.question.machine.engine
    drives_gpus = any(map(engine.drives, candidates.question.machine.gpus))
    unsure = speed.decode is None or speed.basis == "reference"
    return Remarks(
        speed=("unknown" if speed.decode is None else "reference") if unsure else None,
        below_four_bits=_below_four_bits(candidates, pick),
        rounded_bytes=not pick.file.bytes_exact,
        engine_without_gpu=bool(pick.settled.settings.gpu_layers)
        and engine.installed
        and not drives_gpus,
    )


def _below_four_bits(candidates: Candidates, pick: Candidate) -> Candidate | None:
    """Find the next larger size that fits below 4 bits alone, and give its best file."""
    models = list(candidates.question.catalog.models)
    for model in models[models.index(pick.model) + 1 :]:
        fitting = [
            one
            for one in candidates.walk(lambda *_: True)
            if one.model is model and one.settled.fits
        ]
        if fitting and all(bits(one.file.quant) < FOUR_BITS for one in fitting):
            return fitting[0]
    return None
