"""What if: this machine with other memory or other cards."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec.structs import replace

from qwenpick.errors import UsageError
from qwenpick.hardware import apple, cards
from qwenpick.hardware.machine import Cpu, Gpu, Machine, Memory
from qwenpick.units import GIB

if TYPE_CHECKING:
    from collections.abc import Sequence

_ARCHS = {"apple": "arm64", "nvidia": "aarch64", "arm": "aarch64", "android": "aarch64"}
"""Of machines with one memory for processor and GPU."""
_LEFT = {
    "apple": (1.0, 0.8125, 1.9 * GIB),
    "nvidia": (0.93, 0.94, 0.9 * GIB),
    "amd": (0.98, 0.94, 0.9 * GIB),
    "arm": (0.98, 1.0, 0.8 * GIB),
    "android": (0.93, 0.5, 0),
}
"""Of the memory on the box: the share that the system shows, and what of it is free with little
running, as a share less so many bytes: M1 8 GB 4.6 GiB, M4 16 GB 10.8, Jetson Orin Nano 6.1 of
7.4, GB10 112 of 119.7, Raspberry Pi 5 8 GB 7.1 of 7.9 (tests/machines); Android keeps half."""
_MOST = 16
"""Devices that the engine can spread a model over (GGML_CUDA_MAX_DEVICES in ggml-cuda.h)."""


def override(
    machine: Machine, *, ram: int | None, vram: int | None, gpus: Sequence[str]
) -> Machine:
    """Give a machine with what was named in place of what it has.

    RAM alone means no GPU; cards or video memory alone keep the machine's RAM. Video
    memory overrides that of each card, and without a card is one of unknown bandwidth.
    A machine with one memory for both ("M4 16GB", "GB10") brings its own as RAM.

    Args:
        machine: What was probed, or read from a file.
        ram: Bytes that a model may use on the host.
        vram: Bytes that a model may use on each card.
        gpus: Names of cards, each possibly with a count: `2x RTX 3090`.

    Raises:
        UsageError: A name is unknown, or is that of more than one card.
    """
    named = [card for text in gpus for card in _cards(text, vram or ram)]
    shared = next((card for card in named if card.unified), None)
    if shared is not None:
        if len(named) > 1:
            raise UsageError(
                f"{shared.name} shares its memory with the CPU and takes no other GPU.",
                hint=f'Name it alone: --gpu "{shared.name}"',
            )
        return _of_one_memory(machine, shared, ram or vram)
    if ram is not None:
        machine = replace(
            machine, memory=_memory(ram, machine.memory.bandwidth_bytes_per_second), gpus=()
        )
    if named:
        return replace(machine, gpus=tuple(_gpu(card, vram or card.memory or 0) for card in named))
    if vram is not None:
        card = Gpu(vendor="unknown", name="a GPU", total=vram, free=vram)
        return replace(machine, gpus=(card,))
    return machine


def _of_one_memory(machine: Machine, card: cards.Card, named: int | None) -> Machine:
    """Give a machine whose memory serves both; what was named is exactly what may be used."""
    arch = _ARCHS.get(card.vendor, machine.arch)
    size = named or card.memory
    if size is None:  # a GPU in a processor: the machine's own memory
        memory = machine.memory
        gpu = _gpu(card, memory.total)
        return replace(machine, gpus=(replace(gpu, free=memory.available),))
    memory = _memory(size, card.bandwidth) if named else _left(card, size)
    gpu = replace(_gpu(card, memory.total), free=memory.available)
    if card.vendor == "apple" and named is None:
        share = apple.metal_share(size)
        gpu = replace(gpu, total=share, free=min(share, memory.available))
    cpu = replace(machine.cpu, name=card.name)
    machine = replace(machine, cpu=cpu, memory=memory, gpus=(gpu,), arch=arch)
    return _board(machine, card) if card.board else machine


def _left(card: cards.Card, size: int) -> Memory:
    """Say what the system and what people run beside it leave of a machine's memory."""
    seen, share, fixed = _LEFT[card.vendor]
    total = int(size * seen)
    available = int(total * share - fixed)
    return Memory(total=total, available=available, bandwidth_bytes_per_second=card.bandwidth)


def _board(machine: Machine, card: cards.Card) -> Machine:
    """Give a board or a phone: a model runs on its processor."""
    cpu = Cpu(
        name=card.name,
        physical_cores=card.threads,
        usable_threads=card.threads,
        features=card.features,
    )
    return replace(machine, os="Linux", gpus=(), cpu=cpu)


def _cards(text: str, size: int | None) -> list[cards.Card]:
    """Read a name with its count."""
    match = re.fullmatch(r"\s*(\d{1,3})\s*[x*]\s*(.+)", text, re.IGNORECASE)
    count, name = (int(match[1]), match[2]) if match else (1, text)
    if not 1 <= count <= _MOST:
        raise UsageError(f"{count} GPUs are not possible.", hint=f"Name 1 to {_MOST} of them.")
    return [cards.find(name.strip(), size)] * count


def _gpu(card: cards.Card, size: int) -> Gpu:
    return Gpu(
        vendor=card.vendor,
        name=card.name,
        total=size,
        free=size,
        unified=card.unified,
        bandwidth_bytes_per_second=card.bandwidth,
    )


def _memory(size: int, bandwidth: float | None) -> Memory:
    return Memory(total=size, available=size, bandwidth_bytes_per_second=bandwidth)
