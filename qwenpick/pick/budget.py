"""What a model may use: the host's memory, and each device's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from qwenpick import units

if TYPE_CHECKING:
    from qwenpick.hardware.machine import Gpu, Machine

RESERVE_SHARE = 0.05
RESERVE_LEAST = 300 * units.MIB
"""Left free on a card for the desktop and the driver."""
CARD_CONTEXTS = {"8.9": 456 << 20, "9.0": 612 << 20}
"""What the engine's library holds on a card beside its buffers, by compute capability: 451 to 456
MiB on three RTX 4090 ("unaccounted" in https://github.com/ggml-org/llama.cpp/pull/15860), 607 to
612 on an H100 (docs/measurements/cards.md)."""
CARD_CONTEXT = 456 << 20
"""The same for all others, of which it is not known."""
DRIVER_ON_HOST = 370 << 20
"""What CUDA takes of the host's memory once a card is used, its libraries counted: 365 to 374 MiB
more than the sum's other parts, on an H100 (docs/measurements/cards.md). Others: the same."""

STEADY_STEP = 0.76
"""See `steady`: most of the memory that is free on machines of all kinds when little else runs,
and most of that again."""
EXACT_SHARE = 0.9
"""Of memory that a person named, a tenth is left free."""


class Device(Struct, frozen=True, kw_only=True):
    """A device with a name, the bytes that a model may use, and how fast it reads them."""

    index: int
    """Its place among the machine's GPUs."""
    name: str
    budget: int
    steady: int = 0
    """Bytes that it has whatever else runs, by which a file is chosen: see `steady`."""
    context: int = CARD_CONTEXT
    """Bytes that the engine's library holds there beside its buffers."""


class Budget(Struct, frozen=True, kw_only=True):
    """Bytes on the host and on each device; `pooled` where both are the same memory."""

    host: int
    steady_host: int = 0
    devices: tuple[Device, ...] = ()
    pooled: bool = False

    @property
    def total(self) -> int:
        """All that a model may use, in bytes."""
        return self.host if self.pooled else self.host + self.on_cards

    @property
    def lasting(self) -> Budget:
        """What a file is chosen by: the steady part of it all."""
        devices = tuple(replace(one, budget=one.steady) for one in self.devices)
        return replace(self, host=self.steady_host, devices=devices)

    @property
    def on_cards(self) -> int:
        """What a model may use on cards with memory of their own, in bytes."""
        return 0 if self.pooled else sum(one.budget for one in self.devices)


def steady(size: int, total: int | None) -> int:
    """Round what is available down to three quarters of all memory, or three quarters of that, ...

    So a machine has one pick from one hour to the next, whatever else runs on it just now. What
    lies between is left free, or goes to the context.
    """
    step = total or size
    while step * STEADY_STEP > size > 0:
        step = int(step * STEADY_STEP)
    return int(step * STEADY_STEP)


def exactly(budget: Budget, size: int) -> Budget:
    """Give a budget with exactly *size* bytes on each card, where there are none on the host."""
    share = int(size * EXACT_SHARE)
    devices = tuple(replace(one, budget=size, steady=share) for one in budget.devices)
    if budget.devices and not budget.pooled:
        return replace(budget, devices=devices)
    return replace(budget, host=size, steady_host=share, devices=devices)


def budget_of(machine: Machine, *, exact_ram: bool = False, exact_vram: bool = False) -> Budget:
    """Read the budget of a machine: what is available now.

    Where a machine has cards with memory of their own, devices that share its RAM are left
    aside: splitting layers over both makes the fast one wait.

    Args:
        machine: As probed, or with what was named in place of it.
        exact_ram: Whether the memory was named by a person, so that it does not move.
        exact_vram: The same for each card's, all of which a model may use then.
    """
    memory = machine.memory
    host = memory.available
    total = host if exact_ram else min(memory.total, memory.limit or memory.total)
    steady_host = int(host * EXACT_SHARE) if exact_ram else steady(host, total)
    exact = exact_vram or exact_ram
    devices = tuple(
        _device(index, gpu, host, exact=exact) for index, gpu in enumerate(machine.gpus)
    )
    own = tuple(
        device
        for device, gpu in zip(devices, machine.gpus, strict=True)
        if not gpu.unified and device.budget > 0
    )
    if own or not devices or not machine.gpus[0].unified:
        return Budget(host=host, steady_host=steady_host, devices=own)
    pool = devices[0]
    if not exact:
        steady_host = steady(host, machine.gpus[0].total or total)
    return Budget(host=host, steady_host=steady_host, devices=(pool,), pooled=True)


def _device(index: int, gpu: Gpu, host: int, *, exact: bool) -> Device:
    free = gpu.free if gpu.free is not None else gpu.total
    if gpu.unified:
        budget = host if free is None else min(free, host)
    elif exact:
        budget = free or 0
    else:
        budget = max(0, (free or 0) - max(int((free or 0) * RESERVE_SHARE), RESERVE_LEAST))
    lasting = int(budget * EXACT_SHARE) if exact else steady(budget, gpu.total)
    return Device(
        index=index,
        name=gpu.name,
        budget=budget,
        steady=lasting,
        context=card_context(gpu.compute),
    )


def card_context(compute: str | None) -> int:
    """Give the bytes that the engine's library holds on a card of a compute capability."""
    return CARD_CONTEXTS.get(compute or "", CARD_CONTEXT)
