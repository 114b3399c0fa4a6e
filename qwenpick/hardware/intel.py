"""Intel's GPUs, driven by xe or i915: Arc cards, and those inside processors.

Neither driver tells a plain user the size of a card's memory. The card's PCI id names it,
and the window through which the processor sees its memory tells versions apart (it is
the memory's size rounded up to a power of two, where the firmware has resized it).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qwenpick import units
from qwenpick.hardware import cards, pci
from qwenpick.hardware.machine import Gpu

if TYPE_CHECKING:
    from qwenpick.hardware.system_reader import SystemReader

_VENDOR = "8086"
_SMALL_WINDOW = 256 * units.MIB
"""The size of the window where it was not resized."""


def gpus(sources: SystemReader) -> tuple[list[Gpu], list[str]]:
    """Give the GPUs that xe or i915 drives, and what there is to say of them."""
    found: list[Gpu] = []
    notes: list[str] = []
    for device in pci.devices(sources, _VENDOR):
        if device.driver not in {"xe", "i915"}:
            continue
        window = _window(sources, device)
        card = next((card for card in cards.cards() if card.pci == device.device), None)
        called = card.name if card else pci.name(sources, _VENDOR, device.device)
        name = f"Intel {called or 'GPU ' + device.device}"
        if card is None and window is None:
            found.append(
                Gpu(vendor="intel", name=name, total=None, free=None, unified=True,
                    driver=device.driver)
            )  # fmt: skip
            continue
        found.append(
            Gpu(
                vendor="intel",
                name=name,
                total=card.memory if card else None,
                free=None,
                driver=device.driver,
                bandwidth_bytes_per_second=card.bandwidth if card else None,
            )
        )
        notes.append(f"{name}: its driver does not tell how much of its memory is free.")
        if window is not None and window <= _SMALL_WINDOW:
            notes.append(f"{name}: resizable BAR is off, which makes loading slow.")
    return found, notes


def _window(sources: SystemReader, device: pci.Device) -> int | None:
    """Give the size of the window onto a card's own memory (BAR 2), None where it has none.

    GPUs inside processors have one too, onto memory that is the machine's: they sit on
    bus 0, cards behind a bridge.
    """
    bus = _slot(sources, device)
    lines = (sources.text(f"{device.folder}/resource") or "").splitlines()
    if bus is None or bus.split(":")[1] == "00" or len(lines) < 3:  # noqa: PLR2004 - BAR 2
        return None
    start, end = (int(word, 16) for word in lines[2].split()[:2])
    return end - start + 1 if end > start else None


def _slot(sources: SystemReader, device: pci.Device) -> str | None:
    events = (sources.text(f"{device.folder}/uevent") or "").splitlines()
    return next((line[14:] for line in events if line.startswith("PCI_SLOT_NAME=")), None)
