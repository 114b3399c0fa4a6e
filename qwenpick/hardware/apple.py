"""Apple's machines: one pool of memory for processor and GPU, all of it read by sysctl."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qwenpick import units
from qwenpick.hardware.machine import Cpu, Gpu

if TYPE_CHECKING:
    from qwenpick.hardware.machine import Memory
    from qwenpick.hardware.system_reader import SystemReader

_FEATURES = {
    "hw.optional.AdvSIMD": "neon",
    "hw.optional.arm.FEAT_DotProd": "dotprod",
    "hw.optional.arm.FEAT_I8MM": "i8mm",
    "hw.optional.arm.FEAT_BF16": "bf16",
    "hw.optional.arm.FEAT_SME": "sme",
    "hw.optional.avx2_0": "avx2",
    "hw.optional.avx512f": "avx512f",
}  # as Apple's "Determining instruction set characteristics" lists them


def cpu(sources: SystemReader) -> Cpu:
    """Describe the processor; performance cores are the ones that help the engine."""
    physical = _number(sources, "hw.physicalcpu")
    fast = _number(sources, "hw.perflevel0.physicalcpu") or physical
    return Cpu(
        name=sources.sysctl("machdep.cpu.brand_string"),
        physical_cores=physical,
        usable_threads=fast or 1,
        features=tuple(name for key, name in _FEATURES.items() if sources.sysctl(key) == "1"),
    )


def gpus(sources: SystemReader, memory: Memory) -> list[Gpu]:
    """Give the GPU of an Apple chip; Macs with Intel processors have none that helps.

    `iogpu.wired_limit_mb` says how much of the memory Metal lets a process have.
    """
    if sources.arch != "arm64":
        return []
    wired = _number(sources, "iogpu.wired_limit_mb")
    limit = wired << 20 if wired else metal_share(memory.total)
    name = sources.sysctl("machdep.cpu.brand_string") or "Apple GPU"
    return [
        Gpu(
            vendor="apple",
            name=name,
            total=limit,
            free=min(limit, memory.available),
            unified=True,
        )
    ]


def metal_share(total: int) -> int:
    """Give what Metal lets a process have of the memory: its recommendedMaxWorkingSetSize.

    Two thirds (21,845 MB of 32 GB: llama.cpp's pull request 2011), or three quarters of more
    than 36 GB (49,152 MB of 64: its issue 1870).
    """
    return total * 2 // 3 if total <= 36 * units.GIB else total * 3 // 4


def _number(sources: SystemReader, name: str) -> int | None:
    text = sources.sysctl(name)
    return int(text) if text and text.isdecimal() else None
