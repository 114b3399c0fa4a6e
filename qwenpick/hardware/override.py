"""What if: this machine with other memory or other cards."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec.structs import replace

from qwenpick.errors import UsageError
from qwenpick.hardware import apple, cards
from qwenpick.hardware.machine import Gpu, Machine, Memory

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    named = [card for text in gpus for card in _cards(text)]
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
        return replace(machine, gpus=tuple(_gpu(card, vram or card.memory) for card in named))
    if vram is not None:
        card = Gpu(vendor="unknown", name="a GPU", total=vram, free=vram)
        return replace(machine, gpus=(card,))
    return machine


def _of_one_memory(machine: Machine, card: cards.Card, named: int | None) -> Machine:
    """Give a machine whose memory serves both; what was named is exactly what may be used."""
    size = named or card.memory
    gpu = _gpu(card, size)
    if card.vendor == "apple" and named is None:
        share = apple.metal_share(size)
        gpu = replace(gpu, total=share, free=share)
    arch = {"apple": "arm64", "nvidia": "aarch64"}.get(card.vendor, machine.arch)
    return replace(machine, memory=_memory(size, card.bandwidth), gpus=(gpu,), arch=arch)


def _cards(text: str) -> list[cards.Card]:
    """Read a name with its count."""
    match = re.fullmatch(r"\s*(\d+)\s*[x*]\s*(.+)", text, re.IGNORECASE)
    count, name = (int(match[1]), match[2]) if match else (1, text)
    if not 1 <= count <= _MOST:
        raise UsageError(f"{count} GPUs are not possible.", hint=f"Name 1 to {_MOST} of them.")
    return [cards.find(name.strip())] * count


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
