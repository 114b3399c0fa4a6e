"""The GPUs that Windows names beside NVIDIA's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qwenpick.hardware import cards
from qwenpick.hardware.machine import Gpu

if TYPE_CHECKING:
    from qwenpick.hardware.system_reader import SystemReader

_DISPLAYS = r"SYSTEM\CurrentControlSet\Control\Class\{4d36e968-e325-11ce-bfc1-08002be10318}"
"""Display adapters (Microsoft's "System-defined device setup classes")."""
_VENDORS = {"amd": "amd", "radeon": "amd", "intel": "intel"}


def gpus(sources: SystemReader) -> tuple[list[Gpu], list[str]]:
    """Give the GPUs of AMD and Intel that have a driver, and what there is to say of them."""
    found = []
    for values in sources.registry(_DISPLAYS):
        name = str(values.get("DriverDesc", ""))
        vendor = next((_VENDORS[word] for word in _VENDORS if word in name.casefold()), "")
        size = values.get("HardwareInformation.qwMemorySize")
        if not vendor:
            continue
        total = size if isinstance(size, int) and size > 0 else None
        rate = cards.bandwidth(name, total)
        # A GPU inside a processor has a driver's figure too, of memory that is the machine's
        own = rate is not None
        found.append(
            Gpu(
                vendor=vendor,
                name=name,
                total=total if own else None,
                free=None,
                unified=not own,
                driver=str(values["DriverVersion"]) if "DriverVersion" in values else None,
                bandwidth_bytes_per_second=rate,
            )
        )
    note = "Windows does not say how much memory of an AMD or Intel GPU is free."
    return found, [note] if found else []
