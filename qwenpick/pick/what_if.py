"""What would change the pick: the nearest changes of the question that win a better answer.

Each is asked again before it is given: with that much memory, or that floor of speed,
`choose` really picks that file.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from msgspec import Struct
from msgspec.structs import replace

from qwenpick import units
from qwenpick.pick.choose import Candidate, Candidates, choose
from qwenpick.pick.profile import FOUR_BITS, bits

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from qwenpick.pick.fit import PickInput

TENTHS = 10


class WhatIf(Struct, frozen=True, kw_only=True):
    """Another question, and the file that it is answered with."""

    what: Literal["memory", "min_speed"]
    value: float
    """Memory: bytes that a model may use, of the first card where there are cards, else of RAM.
    Floor of speed: tokens per second."""
    size: str
    quant: str


def what_if(candidates: Candidates, pick: Candidate) -> Iterator[WhatIf]:
    """Find the least more memory, and the highest floor of speed, that win a better answer."""
    better = [
        one
        for one in candidates.walk(lambda _, file: bits(file.quant) >= FOUR_BITS)
        if one.quality > pick.quality
    ]
    yield from _won(candidates, pick, _more_memory(candidates, better))
    yield from _won(candidates, pick, _less_speed(candidates, better))


def _won(
    candidates: Candidates, pick: Candidate, tries: Iterable[tuple[WhatIf, PickInput]]
) -> Iterator[WhatIf]:
    """Ask each question again; give the nearest that wins, and the nearest of another size."""
    found = False
    for change, question in tries:
        other = change.size != pick.model.size
        if not other and found:
            continue
        won = choose(candidates.asked(question))
        if won and (won.model.size, won.file.quant) == (change.size, change.quant):
            yield change
            if other:
                return
            found = True


def _more_memory(
    candidates: Candidates, better: list[Candidate]
) -> Iterator[tuple[WhatIf, PickInput]]:
    """Give the better files that do not fit, least memory first, and the question of each."""
    question = candidates.question
    budget = question.budget
    on_card = bool(budget.devices) and not budget.pooled
    short = (
        (_rounded_up(one.settled.memory.total - budget.total), one)
        for one in better
        if one.verdict == "too-big"
    )
    for more, one in sorted((pair for pair in short if pair[0] > 0), key=lambda pair: pair[0]):
        if on_card:
            first = budget.devices[0]
            value = first.budget + more
            devices = (replace(first, budget=value), *budget.devices[1:])
            richer = replace(budget, devices=devices)
        else:
            value = budget.host + more
            pool = tuple(replace(device, budget=value) for device in budget.devices)
            richer = replace(budget, host=value, devices=pool)
        yield _change("memory", value, one), replace(question, budget=richer)


def _less_speed(
    candidates: Candidates, better: list[Candidate]
) -> Iterator[tuple[WhatIf, PickInput]]:
    """Give the better files by speed, fastest first, and the question that lets each in."""
    question = candidates.question
    for one in sorted(better, key=lambda one: -(one.settled.speed.decode or 0)):
        floor = math.floor((one.settled.speed.decode or 0) * TENTHS) / TENTHS
        if floor:
            asked = replace(question, wish=replace(question.wish, min_speed=floor))
            yield _change("min_speed", floor, one), asked


def _change(what: Literal["memory", "min_speed"], value: float, one: Candidate) -> WhatIf:
    return WhatIf(what=what, value=value, size=one.model.size, quant=one.file.quant)


def _rounded_up(size: int) -> int:
    """Round up to what `units.memory` says, so that what is said is enough."""
    step = units.GIB // TENTHS if size >= units.GIB else units.MIB
    return -(-size // step) * step
