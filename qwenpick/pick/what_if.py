"""What would change the pick: the nearest changes of the question that win a better answer.

Each is asked again before it is said: with that much more memory, or that floor of
speed, `choose` really picks that file.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from msgspec.structs import replace

from qwenpick import units
from qwenpick.pick.choose import Candidate, Candidates, choose
from qwenpick.pick.fit import CONTEXTS, PickInput
from qwenpick.pick.profile import FOUR_BITS, bits

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from qwenpick.pick.request import Request

TENTHS = 10


def changes(candidates: Candidates, pick: Candidate) -> Iterator[str]:
    """Name them, nearest first of its kind: memory, speed, the card, the context."""
    better = [
        one
        for one in candidates.walk(lambda _, file: bits(file.quant) >= FOUR_BITS)
        if one.quality > pick.quality
    ]
    alone = [*_with_memory(candidates, pick, better), *_with_speed(candidates, pick, better)]
    yield from alone or _with_both(candidates, pick, better)
    yield from _on_the_card(candidates, pick)
    yield from _with_shorter_context(candidates, pick)


def _with_memory(candidates: Candidates, pick: Candidate, better: list[Candidate]) -> Iterator[str]:
    """Find the least memory more that wins; with cards, it is the first card's."""
    return _won(
        candidates,
        pick,
        (
            (f"{units.memory(more)} more", _richer(candidates.question, more), one)
            for more, one in _too_big(candidates, better)
        ),
    )


def _with_speed(candidates: Candidates, pick: Candidate, better: list[Candidate]) -> Iterator[str]:
    """Find the floor of speed that lets a better file in."""
    wish = candidates.question.wish
    slow = sorted(
        ((_floored(one.settled.speed.decode), one) for one in better),
        key=lambda pair: -pair[0],
    )
    return _won(
        candidates,
        pick,
        (
            (f"--min-speed {speed:g}", replace(wish, min_speed=speed), one)
            for speed, one in slow
            if speed
        ),
    )


def _with_both(candidates: Candidates, pick: Candidate, better: list[Candidate]) -> Iterator[str]:
    """Find what wins with more memory and a lower floor, where neither does alone."""
    return _won(
        candidates,
        pick,
        (
            (
                f"{units.memory(more)} more, --min-speed {speed:g},",
                replace(_richer(candidates.question, more), min_speed=speed),
                one,
            )
            for more, one in _too_big(candidates, better)
            if (speed := _floored(one.settled.speed.decode))
        ),
    )


def _won(
    candidates: Candidates, pick: Candidate, tries: Iterable[tuple[str, Request, Candidate]]
) -> Iterator[str]:
    """Ask each question again; say the nearest that wins, and the nearest of another size."""
    said = False
    for words, wish, one in tries:
        other = one.model is not pick.model
        if not other and said:
            continue
        won = choose(candidates.asked(wish))
        if won and won.name == one.name:
            yield f"{words} and it is {one.name}"
            if other:
                return
            said = True


def _too_big(candidates: Candidates, better: list[Candidate]) -> list[tuple[int, Candidate]]:
    """Give the better files that do not fit, and the bytes that each needs more, least first."""
    budget = candidates.question.budget.total
    short = (
        (_rounded_up(one.settled.memory.total - budget), one)
        for one in better
        if one.verdict == "too-big"
    )
    return sorted((pair for pair in short if pair[0] > 0), key=lambda pair: pair[0])


def _richer(question: PickInput, more: int) -> Request:
    budget = question.budget
    if budget.devices and not budget.pooled:
        return replace(question.wish, vram=budget.devices[0].budget + more)
    return replace(question.wish, ram=budget.host + more)


def _rounded_up(size: int) -> int:
    """Round up to what `units.memory` says, so that what is said is enough."""
    step = units.GIB // TENTHS if size >= units.GIB else units.MIB
    return -(-size // step) * step


def _floored(decode: float | None) -> float:
    """Give the floor of speed to type for a rate: to a tenth, so that the rate reaches it."""
    return math.floor((decode or 0) * TENTHS) / TENTHS


def _on_the_card(candidates: Candidates, pick: Candidate) -> Iterator[str]:
    """Where the processor has a part of the pick, name the best file that the card takes whole."""
    layers = pick.model.architecture.layers
    devices = candidates.question.budget.devices
    if not devices or pick.settled.settings.gpu_layers > layers:
        return
    for one in candidates.walk(lambda model, _: model is pick.model):
        if one.good and one.settled.settings.gpu_layers > layers:
            speed = one.settled.speed.decode
            rate = f", about {units.rate(speed)} tokens/s" if speed else ""
            yield f"--quant {one.file.quant} and all of it lies on the card{rate}"
            return


def _with_shorter_context(candidates: Candidates, pick: Candidate) -> Iterator[str]:
    """Find the longest shorter context at which the KV cache keeps its precision."""
    question, settings = candidates.question, pick.settled.settings
    if settings.kv_type == "f16" or question.wish.kv_type is not None:
        return
    for context in CONTEXTS:
        if context >= settings.context:
            continue
        asked = Candidates(replace(question, wish=replace(question.wish, context=context)))
        one = asked.of(pick.model, pick.file, pick.quality)
        if one.settled.fits and one.settled.settings.kv_type == "f16":
            yield f"a context of {units.context(context)} and the KV cache stays f16"
            return
