"""What would change the pick: the nearest changes of the question that win a better answer.

Each is asked again before it is given: with that much memory, that patience or that floor of
speed, `choose` really picks that file.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from typing import TYPE_CHECKING, Literal

from msgspec import Struct
from msgspec.structs import replace

from qwenpick import units
from qwenpick.pick.budget import EXACT_SHARE, exactly
from qwenpick.pick.choose import Candidate, Candidates, choose, value

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from qwenpick.pick.fit import PickInput

What = Literal["memory", "patience", "min_speed"]
TENTHS = 10
SECONDS = 5
LONGER = 10
"""How many times the patience is tried, at most."""
TRIES = 4
"""Questions that are asked again for each kind of change, at most."""
BETTER = 0.5
"""Points that an answer has to score more, to be worth a change."""


class WhatIf(Struct, frozen=True, kw_only=True):
    """Another question, and the file that it is answered with."""

    what: What
    value: float
    """What to ask with. Memory: bytes that a model may use, of each card where there are cards,
    else of RAM. Patience in seconds; floor of speed in tokens per second."""
    size: str
    quant: str


def what_if(candidates: Candidates, pick: Candidate) -> Iterator[WhatIf]:
    """Find the least more memory, and the least more patience, that win a better answer."""
    better = [
        candidates.of(entry)
        for entry in candidates.usual
        if entry.quality.score >= pick.quality.score + BETTER
    ]
    larger = [one for one in better if one.model is not pick.model]
    better = larger or better
    for what, tries in (
        ("memory", _more_memory(candidates, better)),
        ("patience", _more_patience(candidates, pick, better)),
        ("min_speed", _less_speed(candidates, better)),
    ):
        yield from _won(candidates, {one.name for one in better}, what, tries)  # type: ignore[arg-type]  # one of these


def _won(
    candidates: Candidates, better: set[str], what: What, tries: Iterable[tuple[float, PickInput]]
) -> Iterator[WhatIf]:
    """Ask again, the nearest change first; give the first that wins a better answer."""
    for _, (changed, question) in zip(range(TRIES), tries, strict=False):
        won = choose(candidates.asked(question))
        if won and won.name in better:
            yield WhatIf(what=what, value=changed, size=won.model.size, quant=won.file.quant)
            return


def _more_memory(
    candidates: Candidates, better: list[Candidate]
) -> Iterator[tuple[float, PickInput]]:
    """Give the memory that each better file needs with a tenth left free, where it is more."""
    question = candidates.question
    budget = question.budget
    cards = [] if budget.pooled else budget.devices
    there = max((one.budget for one in cards), default=budget.host)
    needs = set()
    for one in better:
        used = [size for _, size in one.settled.memory.devices] if cards else []
        need = max(used, default=one.settled.memory.total) / EXACT_SHARE
        needs.add(_rounded_up(int(need)))
    for need in sorted(needs):
        if need > there:
            yield need, replace(question, budget=exactly(budget, need))


def _more_patience(
    candidates: Candidates, pick: Candidate, better: list[Candidate]
) -> Iterator[tuple[float, PickInput]]:
    """Give the patience from which on a better file is worth more than all others."""
    question = candidates.question
    names = {one.name for one in better}
    may = {*pick.settled.degradations, "context"}
    fitting = [
        one
        for one in map(candidates.of, candidates.usual)
        if one.settled.fits and may.issuperset(one.settled.degradations)
    ]

    def wins(patience: float) -> bool:
        best = max(fitting, key=lambda one: value(one.quality.score, one.seconds, patience))
        return best.name in names

    if not fitting:
        return
    now = math.floor(candidates.patience / SECONDS)
    steps = range(now + 1, now * LONGER + 1)
    found = bisect_left(steps, True, key=lambda step: wins(step * SECONDS))
    for step in steps[found : found + TRIES]:
        asked = replace(question.wish, patience=float(step * SECONDS))
        yield step * SECONDS, replace(question, wish=asked)


def _less_speed(
    candidates: Candidates, better: list[Candidate]
) -> Iterator[tuple[float, PickInput]]:
    """Give the floors below the one that was asked for, each of a better file."""
    question = candidates.question
    asked = question.wish.min_speed
    if asked is None:
        return
    floors = {
        math.floor(one.settled.speed.decode * TENTHS) / TENTHS for one in better if one.settled.fits
    }
    for floor in sorted(floors, reverse=True):
        if 0 < floor < asked:
            yield floor, replace(question, wish=replace(question.wish, min_speed=floor))


def _rounded_up(size: int) -> int:
    """Round up to what `units.memory` says, so that what is said is enough."""
    step = units.GIB // TENTHS if size >= units.GIB else units.MIB
    return -(-size // step) * step
