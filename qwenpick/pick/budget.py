"""What a model may use: the host's memory, and each device's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

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


class Device(Struct, frozen=True, kw_only=True):
    """A device with a name, the bytes that a model may use, and how fast it reads them."""

    index: int
    """Its place among the machine's GPUs."""
    name: str
    budget: int
    context: int = CARD_CONTEXT
    """Bytes that the engine's library holds there beside its buffers."""


class Budget(Struct, frozen=True, kw_only=True):
    """Bytes on the host and on each device; `pooled` where both are the same memory."""

    host: int
    devices: tuple[Device, ...] = ()
    pooled: bool = False

    @property
    def total(self) -> int:
        """All that a model may use, in bytes."""
        return self.host if self.pooled else self.host + self.on_cards

    @property
    def on_cards(self) -> int:
        """What a model may use on cards with memory of their own, in bytes."""
        return 0 if self.pooled else sum(one.budget for one in self.devices)


def budget_of(machine: Machine, *, exact_vram: bool = False) -> Budget:
    """Read the budget of a machine: what is available now.

    Where a machine has cards with memory of their own, devices that share its RAM are left
    aside: splitting layers over both makes the fast one wait.

    Args:
        machine: As probed, or with what was named in place of it.
        exact_vram: Whether a model may use all of each card's memory, since a person named it.
    """
    host = machine.memory.available
    devices = tuple(
        _device(index, gpu, host, exact=exact_vram) for index, gpu in enumerate(machine.gpus)
    )
    own = tuple(
        device
        for device, gpu in zip(devices, machine.gpus, strict=True)
        if not gpu.unified and device.budget > 0
    )
    if own or not devices or not machine.gpus[0].unified:
        return Budget(host=host, devices=own)
    return Budget(host=host, devices=devices[:1], pooled=True)


def _device(index: int, gpu: Gpu, host: int, *, exact: bool) -> Device:
    free = gpu.free if gpu.free is not None else gpu.total
    if gpu.unified:
        budget = host if free is None else min(free, host)
    elif exact:
        budget = free or 0
    else:
        budget = max(0, (free or 0) - max(int((free or 0) * RESERVE_SHARE), RESERVE_LEAST))
    return Device(index=index, name=gpu.name, budget=budget, context=card_context(gpu.compute))


def card_context(compute: str | None) -> int:
    """Give the bytes that the engine's library holds on a card of a compute capability."""
    return CARD_CONTEXTS.get(compute or "", CARD_CONTEXT)
