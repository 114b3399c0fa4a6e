"""Layers on devices: what lies on the host, what on each card, and what is read where.

llama.cpp's own rule, so that the answer is what the engine will do: `gpu_layers` counts
from the last layer down, the output layer being one more behind them; several cards
share these in proportion to their free memory; the KV cache and the recurrent state
lie with their layers; the input embedding stays on the host (llama-model.cpp,
`load_tensors`), and what sees pictures lies on the first card (run/vision.py). Where a
model ties its output to that embedding, a card gets a copy.
"""

from __future__ import annotations

import bisect
import itertools
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from qwenpick.pick.budget import DRIVER_ON_HOST
from qwenpick.pick.cuda_buffer import card_bytes, input_bytes
from qwenpick.pick.speed import DeviceWork

if TYPE_CHECKING:
    from qwenpick.pick.budget import Budget
    from qwenpick.pick.memory import MemorySum
    from qwenpick.pick.profile import ModelProfile
    from qwenpick.pick.request import Settings


class Placement(Struct, frozen=True, kw_only=True):
    """Where a model lies, and what each device reads for a token."""

    gpu_layers: int
    memory: MemorySum
    shares: tuple[DeviceWork, ...]


def whole(
    subject: ModelProfile, settings: Settings, memory: MemorySum, budget: Budget
) -> Placement:
    """Place every layer on one kind of device: the cards where there are any, else the host."""
    if budget.pooled:
        return _in_pool(subject, memory, budget)
    if budget.devices:
        return _on_cards(subject, settings, memory, budget, subject.architecture.layers + 1)
    share = DeviceWork(layers=subject.architecture.layers, bytes=memory.weights - subject.unread)
    return Placement(gpu_layers=0, memory=memory, shares=(share,))


def demanded(
    subject: ModelProfile, settings: Settings, memory: MemorySum, budget: Budget
) -> Placement:
    """Place as many layers as the settings say on the devices, the rest on the host.

    Of devices that nobody found it counts all on the host.
    """
    layers = min(settings.gpu_layers, subject.architecture.layers + 1)
    if not layers or not budget.devices:
        on_host = whole(subject, settings, memory, replace(budget, devices=()))
        return replace(on_host, gpu_layers=layers)
    if budget.pooled:
        return _in_pool(subject, memory, budget)
    return _on_cards(subject, settings, memory, budget, layers)


def split(
    subject: ModelProfile, settings: Settings, memory: MemorySum, budget: Budget
) -> Placement | None:
    """Place as many layers on the cards as they hold, the rest on the host, where it all fits."""
    if not budget.devices or budget.pooled:
        return None
    layers = subject.architecture.layers

    def too_many(gpu_layers: int) -> bool:
        return not _cards_hold(
            _on_cards(subject, settings, memory, budget, gpu_layers), budget, share=1.0
        )

    most = bisect.bisect_left(range(1, layers + 1), True, key=too_many)
    if most:
        placed = _on_cards(subject, settings, memory, budget, most)
    else:
        placed = whole(subject, settings, memory, replace(budget, devices=()))
    return placed if fits(placed, budget) else None


def fits(placement: Placement, budget: Budget, *, share: float = 1.0) -> bool:
    """Say whether the host and each device hold their part within a share of the budget."""
    memory = placement.memory
    if budget.pooled:
        device = memory.devices[0][1]
        limit = budget.devices[0].budget
        return memory.total <= budget.host * share and device <= limit * share
    return memory.host <= budget.host * share and _cards_hold(placement, budget, share=share)


def _cards_hold(placement: Placement, budget: Budget, *, share: float) -> bool:
    return all(
        used <= device.budget * share
        for (_, used), device in zip(placement.memory.devices, budget.devices, strict=False)
    )


def _in_pool(subject: ModelProfile, memory: MemorySum, budget: Budget) -> Placement:
    """Place everything on a device that shares the machine's RAM."""
    host = memory.overhead + memory.checkpoints + memory.output
    device = (budget.devices[0].name, memory.total - host)
    layers = subject.architecture.layers
    share = DeviceWork(
        layers=layers, bytes=memory.weights - subject.unread, gpu=budget.devices[0].index
    )
    return Placement(
        gpu_layers=layers + 1,
        memory=replace(memory, repack=0, devices=(device,)),
        shares=(share,),
    )


def _on_cards(
    subject: ModelProfile, settings: Settings, memory: MemorySum, budget: Budget, gpu_layers: int
) -> Placement:
    """Place the last *gpu_layers* on the cards, and the rest on the host."""
    shape = subject.architecture
    last = subject.output or subject.embedding
    output = last if gpu_layers > 0 else 0
    blocks = memory.weights - subject.embedding - (0 if shape.tied_embeddings else last)
    first = max(shape.layers + 1 - gpu_layers, 0)
    rest = min(first, shape.layers)
    work = card_bytes(shape, settings, weights=memory.weights if rest else 0)
    used: list[tuple[str, int]] = []
    shares = []
    for device, (start, stop) in zip(
        budget.devices, _ranges(budget, first, shape.layers + 1), strict=True
    ):
        layers = max(min(stop, shape.layers) - start, 0)  # a small card may get none
        read = blocks * layers // shape.layers + (output if stop > shape.layers > start - 1 else 0)
        kept = _kept(subject, memory, start, min(stop, shape.layers))
        beside = work + device.context if stop > start else 0
        beside += memory.vision if gpu_layers and not used else 0
        used.append((device.name, read + kept + beside))
        shares.append(DeviceWork(layers=layers, bytes=read, gpu=device.index))
    shares.append(DeviceWork(layers=rest, bytes=blocks * rest // shape.layers))
    copies = output if shape.tied_embeddings else 0
    on_host = memory.compute if rest else input_bytes(shape, settings)
    busy = [one for one, share in zip(budget.devices, shares, strict=False) if share.bytes]
    libraries = sum(one.context for one in busy) + (DRIVER_ON_HOST if busy else 0)
    placed = replace(
        memory,
        weights=memory.weights + copies,
        compute=on_host + len(busy) * work,
        overhead=memory.overhead + libraries,
        repack=memory.repack if rest else 0,
        devices=tuple(used),
    )
    return Placement(gpu_layers=gpu_layers, memory=placed, shares=tuple(shares))


def _ranges(budget: Budget, first: int, stop: int) -> list[tuple[int, int]]:
    """Share the layers from *first* to *stop* as llama.cpp does: by budget, in order."""
    total = sum(device.budget for device in budget.devices)
    ends = [part / total for part in itertools.accumulate(one.budget for one in budget.devices)]
    count = stop - first
    owners = [min(bisect.bisect_right(ends, i / count), len(ends) - 1) for i in range(count)]
    return [
        (first + bisect.bisect_left(owners, i), first + bisect.bisect_right(owners, i))
        for i in range(len(ends))
    ]


def _kept(subject: ModelProfile, memory: MemorySum, start: int, stop: int) -> int:
    """Give the KV cache and recurrent state of the layers from *start* to *stop*, in bytes."""
    shape = subject.architecture
    every = shape.layers // shape.full_attention_layers
    full = stop // every - start // every if stop > start else 0
    linear = max(stop - start, 0) - full
    kept = memory.kv_cache * full // shape.full_attention_layers
    if shape.linear_layers:
        kept += memory.recurrent_state * linear // shape.linear_layers
    return kept
