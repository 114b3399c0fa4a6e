"""What a model may use: the host's memory, and each device's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from qwenpick.units import MIB

if TYPE_CHECKING:
    from qwenpick.hardware.machine import Gpu, Machine
    from qwenpick.pick.wish import Wish

RESERVE_SHARE = 0.05
RESERVE_LEAST = 300 * MIB
"""Left free on a card for the desktop, the driver and the engine's own context there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A device with a name, the bytes that a model may use, and how fast it reads them."""

    name: str
    budget: int
    bandwidth: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Bytes on the host and on each device; `pooled` where both are the same memory."""

    host: int
    devices: tuple[Device, ...] = ()
    pooled: bool = False

    @property
    def total(self) -> int:
        """All that a model may use, in bytes."""
        return self.host if self.pooled else self.host + sum(one.budget for one in self.devices)


def budget_of(machine: Machine, wish: Wish) -> Budget:
    """Read the budget of a machine: what is free now, or exactly what was named.

    Where a machine has cards with memory of their own, devices that share its RAM are left
    aside: splitting layers over both makes the fast one wait.
    """
    host = wish.ram or machine.memory.available
    cards = [gpu for gpu in machine.gpus if not gpu.unified]
    if cards:
        devices = tuple(_device(gpu, wish, host) for gpu in cards)
        return Budget(host=host, devices=tuple(one for one in devices if one.budget > 0))
    shared = next(iter(machine.gpus), None)
    if shared is None:
        return Budget(host=host)
    device = _device(shared, wish, host)
    return Budget(
        host=max(host, device.budget) if wish.vram else host, devices=(device,), pooled=True
    )


def _device(gpu: Gpu, wish: Wish, host: int) -> Device:
    free = gpu.free if gpu.free is not None else gpu.total
    if wish.vram:
        budget = wish.vram
    elif free is None:
        budget = host if gpu.unified else 0
    elif gpu.unified:
        budget = min(free, host)
    else:
        budget = free - max(int(free * RESERVE_SHARE), RESERVE_LEAST)
    return Device(name=gpu.name, budget=budget, bandwidth=gpu.bandwidth_bytes_per_second)
