"""AMD's cards and the GPUs inside its processors, as the amdgpu driver shows them in sysfs.

A GPU inside a processor has two pools: what the firmware set aside (VRAM), and what it
may borrow from the RAM (GTT). Files: the kernel's Documentation/gpu/amdgpu/driver-misc.rst.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from qwenpick import units
from qwenpick.hardware import cards, pci
from qwenpick.hardware.machine import Gpu

if TYPE_CHECKING:
    from qwenpick.hardware.machine import Memory
    from qwenpick.hardware.system_reader import SystemReader

_VENDOR = "1002"


def gpus(sources: SystemReader, memory: Memory) -> tuple[list[Gpu], list[str]]:
    """Give the GPUs that amdgpu drives, and what there is to say of them."""
    found: list[Gpu] = []
    notes: list[str] = []
    for device in pci.devices(sources, _VENDOR):
        vram = sources.number(f"{device.folder}/mem_info_vram_total")
        if vram is None:
            driver = device.driver or "no driver"
            notes.append(f"An AMD GPU is not used: it has {driver}, and needs amdgpu.")
            continue
        gpu = _gpu(sources, device, memory)
        found.append(gpu)
        if gpu.unified:
            borrowed = sources.number(f"{device.folder}/mem_info_gtt_total") or 0
            notes.append(
                f"{gpu.name}: {units.memory(vram)} set aside by the firmware, up to "
                f"{units.memory(borrowed)} borrowed from the RAM."
            )
    return found, notes


def _gpu(sources: SystemReader, device: pci.Device, memory: Memory) -> Gpu:
    """Read one device; inside a processor, a model goes to the larger of the two pools."""
    vram, vram_used, gtt, gtt_used = (
        sources.number(f"{device.folder}/mem_info_{pool}") or 0
        for pool in ("vram_total", "vram_used", "gtt_total", "gtt_used")
    )
    inside = _is_inside(sources, device)
    unified = inside and gtt > vram
    free = min(gtt - gtt_used, memory.available) if unified else vram - vram_used
    total = gtt if unified else vram
    called = _name(sources, device, inside=inside)
    release = (sources.text("/proc/sys/kernel/osrelease") or "").partition("-")[0]
    size = None if inside else total
    return Gpu(
        vendor="amd",
        name=called,
        total=total,
        free=max(0, free),
        unified=unified,
        driver=f"amdgpu of Linux {release}" if release else "amdgpu",
        bandwidth_bytes_per_second=cards.bandwidth(called, size),
    )


def _is_inside(sources: SystemReader, device: pci.Device) -> bool:
    """Tell a GPU inside a processor from a card.

    The driver's table of measurements has a form of its own for each: format 1 is a card's,
    those above a processor's (kgd_pp_interface.h, struct metrics_table_header: size in two
    bytes, then the format). Without it: only cards name the maker of their memory.
    """
    header = sources.head(f"{device.folder}/gpu_metrics", 4)
    if len(header) == 4:  # noqa: PLR2004 - the header's size
        return header[2] > 1
    maker = sources.text(f"{device.folder}/mem_info_vram_vendor")
    return maker in (None, "", "unknown")


def _name(sources: SystemReader, device: pci.Device, *, inside: bool) -> str:
    """Name a device, by the most telling of the system's own lists."""
    product = sources.text(f"{device.folder}/product_name")
    if product:
        return product
    for line in (sources.text("/usr/share/libdrm/amdgpu.ids") or "").splitlines():
        ids = [part.strip() for part in line.split(",", 2)]
        if len(ids) == 3 and (ids[0].casefold(), ids[1].casefold()) == (  # noqa: PLR2004
            device.device,
            device.revision,
        ):
            return ids[2]
    if inside:  # "AMD RYZEN AI MAX+ 395 w/ Radeon 8060S"
        match = re.search(r"w/ (Radeon .+)", sources.text("/proc/cpuinfo") or "")
        if match:
            return f"AMD {match[1].strip()}"
    return pci.name(sources, _VENDOR, device.device) or f"AMD GPU {device.device}"
