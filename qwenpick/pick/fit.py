"""The settings of one file: the best that fit, giving way in a fixed order, and saying so.

A `Step` says how much is given up. In turn: the longest of the use's contexts with a tenth of the
budget left free, shorter ones, less left free; then KV cache in q8_0 and smaller batches; then
the contexts of last resort; and only where none of these lets a model lie on the cards whole,
layers are left to the processor.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Literal

from msgspec import Struct
from msgspec.structs import replace

from qwenpick.pick import placement
from qwenpick.pick.request import Settings, ubatches
from qwenpick.pick.speed import Rated, Speed, estimate, fastest, own

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from qwenpick.catalog.model import Catalog, UseProfile
    from qwenpick.hardware.machine import Machine, Measurement
    from qwenpick.pick.budget import Budget
    from qwenpick.pick.memory import MemorySum
    from qwenpick.pick.placement import Placement
    from qwenpick.pick.profile import ModelProfile
    from qwenpick.pick.request import KvType, Request

Verdict = Literal["fits", "tight", "too-slow", "too-big"]
Degradation = Literal[
    "bits", "kv_type", "ubatch", "checkpoints", "repack", "context", "layers", "free"
]
"""What a pick had to give up: see its settings for what is left of it. `free`: less than a tenth
of the memory stays free."""

TIGHT = 0.9


class PickInput(Struct, frozen=True, kw_only=True):
    """All that a pick is asked about."""

    catalog: Catalog
    machine: Machine
    wish: Request
    budget: Budget
    """What a model may use of the machine."""
    measured: Sequence[Measurement] = ()

    @property
    def use(self) -> UseProfile:
        """What the use that was asked for is like."""
        return self.catalog.uses[self.wish.use]


class Step(Struct, frozen=True, kw_only=True):
    """How much is given up."""

    contexts: tuple[int, ...]
    """The longest of these that fits."""
    free: float = 0.0
    """The share of the budget that is left free."""
    lean: bool = False
    """Whether the KV cache and the batches may be made smaller."""
    split: bool = False
    """Whether layers may be left to the processor."""


class Fit(Struct, frozen=True, kw_only=True):
    """A file's settings, its sum and its speed; `fits` where the budget holds them."""

    settings: Settings
    memory: MemorySum
    speed: Speed
    fits: bool
    tight: bool
    degradations: tuple[Degradation, ...]


def steps(question: PickInput) -> Iterator[Step]:
    """Give what may be given up, the least first."""
    use, wish = question.use, question.wish
    usual = use.shared_contexts if wish.users > 1 and use.shared_contexts else use.contexts
    groups = [(wish.context,)] if wish.context else [usual, use.last_contexts]
    for split in (False, True):
        for contexts, lean, free in product(groups, (False, True), question.catalog.rules.free):
            if contexts:
                yield Step(contexts=contexts, free=free, lean=lean, split=split)


def fit(profile: ModelProfile, question: PickInput) -> Fit:
    """Find the settings for a file; where none fit, give the least demanding ones."""
    context = 0
    for step in steps(question):
        for context in _contexts(profile, step):
            if found := fit_at(profile, question, context, step):
                return found
    least = list(_rungs(profile, question, context, lean=True))[-1]
    placed = _whole(profile, least, question)
    return _settled(profile, least, placed, question, fits=placement.fits(placed, question.budget))


def fit_at(profile: ModelProfile, question: PickInput, context: int, step: Step) -> Fit | None:
    """Find the settings for a file at a context, None where a step's share does not hold it."""
    share = 1 - step.free
    for settings in _rungs(profile, question, context, lean=step.lean):
        placed: Placement | None = _whole(profile, settings, question)
        if placed is None or not placement.fits(placed, question.budget, share=share):
            if not step.split or question.wish.gpu_layers is not None:
                continue
            memory = profile.memory(settings)
            placed = placement.partial_offload(
                profile, settings, memory, _shrunk(question.budget, share)
            )
        if placed is not None:
            return _settled(profile, settings, placed, question, fits=True)
    return None


def _contexts(profile: ModelProfile, step: Step) -> list[int]:
    """Give a step's contexts, as far as the model has them, the longest first."""
    most = profile.architecture.context
    return list(dict.fromkeys(min(tokens, most) for tokens in step.contexts))


def _whole(profile: ModelProfile, settings: Settings, question: PickInput) -> Placement:
    """Place all layers on one kind of device, or as many on the cards as were asked for."""
    place = (
        placement.full_offload if question.wish.gpu_layers is None else placement.requested_offload
    )
    return place(profile, settings, profile.memory(settings), question.budget)


def _shrunk(budget: Budget, share: float) -> Budget:
    """Give a share of a budget."""
    devices = tuple(replace(one, budget=int(one.budget * share)) for one in budget.devices)
    return replace(budget, host=int(budget.host * share), devices=devices)


def _rungs(
    profile: ModelProfile, question: PickInput, context: int, *, lean: bool
) -> Iterator[Settings]:
    """Give the settings to try at a context, from what is wished for down."""
    wish, machine = question.wish, question.machine
    tuned = _tuned(profile, question)
    repack = wish.repack if wish.repack is not None else bool(tuned and tuned.repack)
    cards = bool(question.budget.devices)
    batches = (wish.ubatch,) if wish.ubatch else ubatches(repack=repack, cards=cards)
    rung = Settings(
        context=context,
        users=wish.users,
        kv_type=wish.kv_type or "f16",
        threads=tuned.threads if tuned else machine.cpu.usable_threads,
        ubatch=batches[0],
        repack=repack,
        gpu_layers=wish.gpu_layers or 0,
        layers=profile.architecture.layers + 1,
    )
    yield rung
    if not lean:
        return
    if not wish.kv_type:
        smaller: KvType = "q8_0"
        rung = replace(rung, kv_type=smaller)
        yield rung
    for ubatch in batches[1:]:
        rung = replace(rung, ubatch=ubatch)
        yield rung
    if wish.users > 1:
        rung = replace(rung, checkpoints=1)
        yield rung
    if repack and wish.repack is None:
        yield replace(rung, repack=False)


def _tuned(profile: ModelProfile, question: PickInput) -> Measurement | None:
    """Find the set-up in which this file was faster here than in the usual one.

    Without the usual one among them there is nothing to compare with: one chat with fewer threads
    says nothing of more.
    """
    found = own(question.measured, profile)
    usual = (question.machine.cpu.usable_threads, False)
    compared = any((one.threads, one.repack) == usual for one in found)
    return fastest(found) if compared else None


def _settled(
    profile: ModelProfile,
    settings: Settings,
    placed: Placement,
    question: PickInput,
    *,
    fits: bool,
) -> Fit:
    settings = replace(settings, gpu_layers=placed.gpu_layers)
    rated = Rated(profile=profile, settings=settings, work=placed.work)
    tight = not placement.fits(placed, question.budget, share=TIGHT)
    return Fit(
        settings=settings,
        memory=placed.memory,
        speed=estimate(rated, question.machine, question.catalog, question.measured),
        fits=fits,
        tight=tight,
        degradations=tuple(_degradations(profile, settings, question, tight=tight)),
    )


def _degradations(
    profile: ModelProfile, settings: Settings, question: PickInput, *, tight: bool
) -> Iterator[Degradation]:
    """Name what was given up."""
    wanted = next(_rungs(profile, question, settings.context, lean=False))
    if settings.kv_type != wanted.kv_type:
        yield "kv_type"
    if settings.ubatch != wanted.ubatch:
        yield "ubatch"
    if settings.checkpoints != wanted.checkpoints:
        yield "checkpoints"
    if settings.repack != wanted.repack:
        yield "repack"
    if settings.context < _contexts(profile, next(steps(question)))[0]:
        yield "context"
    if question.budget.devices and settings.gpu_layers < settings.layers:
        yield "layers"
    if tight:
        yield "free"
