"""What would change the pick: the nearest changes of the question that win a better answer.

Each is asked again before it is said: with that much more memory, or that floor of
speed, `choose` really picks that file.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from qwenpick import units
from qwenpick.pick.choose import Candidate, Candidates, choose
from qwenpick.pick.settle import CONTEXTS, Question
from qwenpick.pick.subject import FOUR_BITS, bits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qwenpick.pick.wish import Wish

TENTHS = 10


def changes(candidates: Candidates, pick: Candidate) -> Iterator[str]:
    """Name them, nearest first of its kind: memory, speed, the card, the context."""
    better = [
        one
        for one in candidates.walk(lambda _, file: bits(file.quant) >= FOUR_BITS)
        if one.quality > pick.quality
    ]
    yield from _with_memory(candidates, better)
    yield from _with_speed(candidates, better)
    yield from _on_the_card(candidates, pick)
    yield from _with_shorter_context(candidates, pick)


def _with_memory(candidates: Candidates, better: list[Candidate]) -> Iterator[str]:
    """Find the least memory more that wins; with cards, it is the first card's."""
    question, budget = candidates.question, candidates.question.budget
    short = sorted(
        (one.settled.memory.total - budget.total, one.name)
        for one in better
        if one.verdict == "too-big"
    )
    for missing, name in short:
        more = _rounded_up(missing)
        if budget.devices and not budget.pooled:
            wish = replace(question.wish, vram=budget.devices[0].budget + more)
        else:
            wish = replace(question.wish, ram=budget.host + more)
        if more > 0 and _pick(question, wish) == name:
            yield f"{units.memory(more)} more and it is {name}"
            return


def _rounded_up(size: int) -> int:
    """Round up to what `units.memory` says, so that what is said is enough."""
    step = units.GIB // TENTHS if size >= units.GIB else units.MIB
    return -(-size // step) * step


def _with_speed(candidates: Candidates, better: list[Candidate]) -> Iterator[str]:
    """Find the floor of speed that lets a better file in."""
    slow = sorted(
        ((one.settled.speed.decode, one.name) for one in better if one.settled.speed.decode),
        reverse=True,
    )
    for decode, name in slow:
        speed = math.floor(decode * TENTHS) / TENTHS
        wish = replace(candidates.question.wish, min_speed=speed)
        if speed > 0 and _pick(candidates.question, wish) == name:
            yield f"--min-speed {speed:g} and it is {name}"
            return


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


def _pick(question: Question, wish: Wish) -> str | None:
    found = choose(Candidates(replace(question, wish=wish)))
    return found.name if found else None
