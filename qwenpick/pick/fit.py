"""The settings of one file: the best that fit, giving way in a fixed order, and saying so.

The order: KV cache to q8_0, a smaller ubatch, no repacked weights, a shorter context;
and only where none of these lets a model lie on the cards as a whole, layers are left
to the processor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec import Struct
from msgspec.structs import replace

from qwenpick.pick import placement
from qwenpick.pick.request import KvType, Settings, ubatches
from qwenpick.pick.speed import Rated, Speed, estimate, fastest, own

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from qwenpick.catalog.model import Catalog
    from qwenpick.hardware.machine import Machine, Measurement
    from qwenpick.pick.budget import Budget
    from qwenpick.pick.memory import MemorySum
    from qwenpick.pick.placement import Placement
    from qwenpick.pick.profile import ModelProfile
    from qwenpick.pick.request import Request

Verdict = Literal["fits", "tight", "too-slow", "too-big"]

TIGHT = 0.9
CONTEXTS = (32768, 16384, 8192)
LAST_CONTEXT = 4096


Degradation = Literal["kv_type", "ubatch", "repack", "context", "layers"]
"""What a file's settings had to give up: see the settings for what is left of it."""


class PickInput(Struct, frozen=True, kw_only=True):
    """All that a pick is asked about."""

    catalog: Catalog
    machine: Machine
    wish: Request
    budget: Budget
    """What a model may use of the machine."""
    measured: Sequence[Measurement] = ()


class Fit(Struct, frozen=True, kw_only=True):
    """A file's settings, its sum and its speed; `fits` where the budget holds them."""

    settings: Settings
    memory: MemorySum
    speed: Speed
    fits: bool
    tight: bool
    degradations: tuple[Degradation, ...]


def fit(subject: ModelProfile, question: PickInput, *, last_resort: bool = False) -> Fit:
    """Find the settings for a file; where none fit, give the least demanding ones.

    Args:
        subject: The file.
        question: The machine, and what is wished for.
        last_resort: Whether a context of 4k will do.
    """
    budget = question.budget
    steps = _ladder(subject, question, last_resort=last_resort)
    free = question.wish.gpu_layers is None
    place_whole = placement.full_offload if free else placement.requested_offload
    first = next(steps)
    placed = place_whole(subject, first, subject.memory(first), budget)
    if placement.fits(placed, budget):  # as most do: the ladder is not looked at
        return _settled(subject, first, placed, question, first)
    ladder = [first, *steps]
    least = ladder[-1]
    least_placed = place_whole(subject, least, subject.memory(least), budget)
    if least_placed.memory.total <= budget.total:  # else no placement makes it smaller
        for place in (place_whole, placement.partial_offload) if free else (place_whole,):
            for settings in ladder:
                one = place(subject, settings, subject.memory(settings), budget)
                if one and placement.fits(one, budget):
                    return _settled(subject, settings, one, question, first)
    return _settled(subject, least, least_placed, question, first)


def _ladder(subject: ModelProfile, question: PickInput, *, last_resort: bool) -> Iterator[Settings]:
    """Give the settings to try, from what is wished for down."""
    wish, machine = question.wish, question.machine
    most = subject.architecture.context
    contexts = [wish.context] if wish.context else [*CONTEXTS, *([LAST_CONTEXT] * last_resort)]
    kv_types: list[KvType] = [wish.kv_type] if wish.kv_type else ["f16", "q8_0"]
    tuned = _tuned(subject, question)
    repack = wish.repack if wish.repack is not None else bool(tuned and tuned.repack)
    cards = bool(question.budget.devices)
    batches = (wish.ubatch,) if wish.ubatch else ubatches(repack=repack, cards=cards)
    first = Settings(
        context=0,
        kv_type=kv_types[0],
        threads=tuned.threads if tuned else machine.cpu.usable_threads,
        ubatch=batches[0],
        repack=repack,
        gpu_layers=wish.gpu_layers or 0,
    )
    for context in sorted({min(tokens, most) for tokens in contexts}, reverse=True):
        rung = replace(first, context=context)
        yield rung
        for kv_type in kv_types[1:]:
            rung = replace(rung, kv_type=kv_type)
            yield rung
        for ubatch in batches[1:]:
            rung = replace(rung, ubatch=ubatch)
            yield rung
        if repack and wish.repack is None:
            yield replace(rung, repack=False)


def _tuned(subject: ModelProfile, question: PickInput) -> Measurement | None:
    """Find the set-up in which this file was faster here than in the usual one.

    Without the usual one among them there is nothing to compare with: one chat with fewer threads
    says nothing of more.
    """
    found = own(question.measured, subject)
    usual = (question.machine.cpu.usable_threads, False)
    compared = any((one.threads, one.repack) == usual for one in found)
    return fastest(found) if compared else None


def _settled(
    subject: ModelProfile,
    settings: Settings,
    placed: Placement,
    question: PickInput,
    first: Settings,
) -> Fit:
    budget = question.budget
    settings = replace(settings, gpu_layers=placed.gpu_layers)
    rated = Rated(subject=subject, settings=settings, shares=placed.work)
    return Fit(
        settings=settings,
        memory=placed.memory,
        speed=estimate(rated, question.machine, question.catalog, question.measured),
        fits=placement.fits(placed, budget),
        tight=not placement.fits(placed, budget, share=TIGHT),
        degradations=tuple(_degradations(subject, settings, first, budget)),
    )


def _degradations(
    subject: ModelProfile, settings: Settings, first: Settings, budget: Budget
) -> Iterator[Degradation]:
    """Name what was given up."""
    if settings.kv_type != first.kv_type:
        yield "kv_type"
    if settings.ubatch != first.ubatch:
        yield "ubatch"
    if settings.repack != first.repack:
        yield "repack"
    if settings.context != first.context:
        yield "context"
    if budget.devices and settings.gpu_layers <= subject.architecture.layers:
        yield "layers"
