"""Offload: which layers are on which device, what memory that takes, and what is read where.

The same rules as llama.cpp's (llama-model.cpp, `load_tensors`): `gpu_layers` counts from the last
layer down, with the output layer as one more behind them; several cards share these in proportion
to their free memory; the KV cache and the recurrent state are where their layers are; the input
embedding stays on the host, and a card gets a copy where the output is tied to it. The projector
is on the first card (engine/vision.py).
"""

from __future__ import annotations

import bisect
import itertools
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from qwenpick.pick.budget import DRIVER_ON_HOST
from qwenpick.pick.compute import card_bytes, input_bytes
from qwenpick.pick.speed import DeviceWork

if TYPE_CHECKING:
    from qwenpick.pick.budget import Budget
    from qwenpick.pick.memory import MemorySum
    from qwenpick.pick.profile import ModelProfile
    from qwenpick.pick.request import Settings


class Placement(Struct, frozen=True, kw_only=True):
    """Which layers are on the devices, what memory it takes, and each device's work for a token."""

    gpu_layers: int
    memory: MemorySum
    work: tuple[DeviceWork, ...]


def full_offload(
    profile: ModelProfile, settings: Settings, memory: MemorySum, budget: Budget
) -> Placement:
    """Place every layer on the GPUs, or on the host where there are none."""
    if budget.pooled:
        return _in_pool(profile, memory, budget)
    if budget.devices:
        return _on_cards(profile, settings, memory, budget, profile.architecture.layers + 1)
    share = DeviceWork(layers=profile.architecture.layers, bytes=memory.weights - profile.unread)
    return Placement(gpu_layers=0, memory=memory, work=(share,))


def requested_offload(
    profile: ModelProfile, settings: Settings, memory: MemorySum, budget: Budget
) -> Placement:
    """Place the layers that the settings name on the GPUs, the rest on the host.

    Without a known GPU it counts everything on the host.
    """
    layers = min(settings.gpu_layers, profile.architecture.layers + 1)
    if not layers or not budget.devices:
        on_host = full_offload(profile, settings, memory, replace(budget, devices=()))
        return replace(on_host, gpu_layers=layers)
    if budget.pooled:
        return _in_pool(profile, memory, budget)
    return _on_cards(profile, settings, memory, budget, layers)


def partial_offload(
    profile: ModelProfile, settings: Settings, memory: MemorySum, budget: Budget
) -> Placement | None:
    """Place as many layers on the cards as they hold; None where the rest does not fit the host."""
    if not budget.devices or budget.pooled:
        return None
    layers = profile.architecture.layers

    def too_many(gpu_layers: int) -> bool:
        return not _cards_hold(
            _on_cards(profile, settings, memory, budget, gpu_layers), budget, share=1.0
        )

    most = bisect.bisect_left(range(1, layers + 1), True, key=too_many)
    if most:
        placed = _on_cards(profile, settings, memory, budget, most)
    else:
        placed = full_offload(profile, settings, memory, replace(budget, devices=()))
    return placed if fits(placed, budget) else None


def fits(placement: Placement, budget: Budget, *, share: float = 1.0) -> bool:
    """Whether the host and each device hold their part within a share of the budget."""
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


def _in_pool(profile: ModelProfile, memory: MemorySum, budget: Budget) -> Placement:
    """Place everything on a GPU that shares the machine's RAM."""
    host = memory.overhead + memory.checkpoints + memory.output
    device = (budget.devices[0].name, memory.total - host)
    layers = profile.architecture.layers
    share = DeviceWork(
        layers=layers, bytes=memory.weights - profile.unread, gpu=budget.devices[0].index
    )
    return Placement(
        gpu_layers=layers + 1,
        memory=replace(memory, repack=0, devices=(device,)),
        work=(share,),
    )


def _on_cards(
    profile: ModelProfile, settings: Settings, memory: MemorySum, budget: Budget, gpu_layers: int
) -> Placement:
    """Place the last *gpu_layers* on the cards, and the rest on the host."""
    shape = profile.architecture
    last = profile.output or profile.embedding
    output = last if gpu_layers > 0 else 0
    blocks = memory.weights - profile.embedding - (0 if shape.tied_embeddings else last)
    first = max(shape.layers + 1 - gpu_layers, 0)
    rest = min(first, shape.layers)
    buffer = card_bytes(
        profile.file.buffers(shape), shape, settings, weights=memory.weights if rest else 0
    )
    used: list[tuple[str, int]] = []
    work = []
    for device, (start, stop) in zip(
        budget.devices, _ranges(budget, first, shape.layers + 1), strict=True
    ):
        layers = max(min(stop, shape.layers) - start, 0)  # a small card may get none
        read = blocks * layers // shape.layers + (output if stop > shape.layers > start - 1 else 0)
        cache = _cache_bytes(profile, memory, start, min(stop, shape.layers))
        beside = buffer + device.context if stop > start else 0
        beside += memory.vision if gpu_layers and not used else 0
        used.append((device.name, read + cache + beside))
        work.append(DeviceWork(layers=layers, bytes=read, gpu=device.index))
    work.append(DeviceWork(layers=rest, bytes=blocks * rest // shape.layers))
    copies = output if shape.tied_embeddings else 0
    busy = [one for one, share in zip(budget.devices, work, strict=False) if share.bytes]
    on_host = input_bytes(shape, settings) if busy else memory.compute
    libraries = sum(one.context for one in busy) + (DRIVER_ON_HOST if busy else 0)
    placed = replace(
        memory,
        weights=memory.weights + copies,
        compute=on_host + len(busy) * buffer,
        overhead=memory.overhead + libraries,
        repack=memory.repack if rest else 0,
        devices=tuple(used),
    )
    return Placement(gpu_layers=gpu_layers, memory=placed, work=tuple(work))


def _ranges(budget: Budget, first: int, stop: int) -> list[tuple[int, int]]:
    """Split the layers from *first* to *stop* as llama.cpp does: by budget, in order."""
    total = sum(device.budget for device in budget.devices)
    ends = [part / total for part in itertools.accumulate(one.budget for one in budget.devices)]
    count = stop - first
    owners = [min(bisect.bisect_right(ends, i / count), len(ends) - 1) for i in range(count)]
    return [
        (first + bisect.bisect_left(owners, i), first + bisect.bisect_right(owners, i))
        for i in range(len(ends))
    ]


def _cache_bytes(profile: ModelProfile, memory: MemorySum, start: int, stop: int) -> int:
    """Give the KV cache and recurrent state of the layers from *start* to *stop*, in bytes."""
    shape = profile.architecture
    every = shape.layers // shape.full_attention_layers
    full = stop // every - start // every if stop > start else 0
    linear = max(stop - start, 0) - full
    size = memory.kv_cache * full // shape.full_attention_layers
    if shape.linear_layers:
        size += memory.recurrent_state * linear // shape.linear_layers
    return size
