"""The processor: its cores, and which of them help the engine.

llama.cpp's threads wait for each other at every operation, so a second thread on a core,
an efficiency core or a thread above the quota makes it slower, not faster. Its own
count leaves out the same (common/common.cpp, cpu_get_num_math).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qwenpick.hardware import cgroup, system
from qwenpick.hardware.machine import Cpu

if TYPE_CHECKING:
    from collections.abc import Iterable

    from qwenpick.hardware.system_reader import SystemReader

_CPUS = "/sys/devices/system/cpu"
_FEATURES = (
    "avx", "avx2", "fma", "f16c", "bmi2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16",
    "amx_tile", "amx_int8", "amx_bf16", "neon", "dotprod", "i8mm", "bf16", "sve", "sve2", "sme",
)  # fmt: skip
"""What llama.cpp has code for, as /proc/cpuinfo writes it on x86."""
_ARM_NAMES = {"asimd": "neon", "asimddp": "dotprod"}
_WINDOWS_FEATURES = {
    # processthreadsapi.h, IsProcessorFeaturePresent
    39: "avx", 40: "avx2", 41: "avx512f", 19: "neon", 43: "dotprod", 46: "sve", 47: "sve2",
}  # fmt: skip
_EFFICIENT_BELOW = 0.7
"""Cores below this part of the fastest one's capacity are efficiency cores: a Cortex-A5xx has
a quarter to a half of its big neighbour, an A7xx beside an X core about 0.8 (the
capacity-dmips-mhz values in the kernel's arch/arm64/boot/dts)."""


def cpu(sources: SystemReader) -> Cpu:
    """Describe the processor, and count the threads that help the engine."""
    if sources.platform == "darwin":
        from qwenpick.hardware import apple

        return apple.cpu(sources)
    quota = cgroup.cpu_quota(sources)
    facts = _cpuinfo(sources)
    if sources.platform == "win32":
        features = tuple(
            name for number, name in _WINDOWS_FEATURES.items() if sources.processor_feature(number)
        )
        name = sources.environment.get("PROCESSOR_IDENTIFIER")
    else:
        words = f"{facts.get('flags', '')} {facts.get('Features', '')}".split()
        features = _known(words)
        name = _name(sources, facts)
    cores = _cores(sources)
    counted = {core for core in cores.values() if core is not None}
    physical = len(counted) or system.physical_cores()
    helping = _helping(sources, cores) or _allowed(sources, physical)
    if quota is not None:
        helping = min(helping, max(1, int(quota)))
    return Cpu(
        name=name,
        physical_cores=physical,
        usable_threads=helping,
        quota=quota,
        features=features,
    )


def _cores(sources: SystemReader) -> dict[int, str | None]:
    """Give logical processor to the core that it is a thread of, for those that are on."""
    cores: dict[int, str | None] = {}
    for name in sources.names(_CPUS):
        number = name.removeprefix("cpu")
        if not number.isdecimal() or sources.text(f"{_CPUS}/{name}/online") == "0":
            continue
        siblings = sources.text(f"{_CPUS}/{name}/topology/thread_siblings_list")
        cores[int(number)] = siblings or sources.text(f"{_CPUS}/{name}/topology/core_cpus_list")
    return cores


def _helping(sources: SystemReader, cores: dict[int, str | None]) -> int:
    """Count the cores, one thread each, that this process may use and that are fast enough."""
    allowed = sources.affinity()
    usable = set(cores) if allowed is None else {number for number in cores if number in allowed}
    fast = _fast(sources, usable)
    return len({cores[number] or str(number) for number in fast})


def _allowed(sources: SystemReader, physical: int | None) -> int:
    """Count the threads that help, where the system shows no cores."""
    allowed = sources.affinity()
    return min(physical or 1, len(allowed)) if allowed else physical or 1


def _fast(sources: SystemReader, usable: Iterable[int]) -> set[int]:
    """Leave out the efficiency cores; all stay where they are all there is."""
    usable = set(usable)
    efficient = usable & _span(sources.text("/sys/devices/cpu_atom/cpus") or "")
    if efficient and efficient != usable:
        return usable - efficient
    capacity = {
        number: sources.number(f"{_CPUS}/cpu{number}/cpu_capacity") or 0 for number in usable
    }
    fastest = max(capacity.values(), default=0)
    return {number for number in usable if capacity[number] >= fastest * _EFFICIENT_BELOW}


def _span(text: str) -> set[int]:
    """Read a list of processors: `0-3,8`."""
    numbers: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        if first.isdecimal():
            numbers.update(range(int(first), int(last or first) + 1))
    return numbers


def _cpuinfo(sources: SystemReader) -> dict[str, str]:
    """Read the first processor's lines of /proc/cpuinfo, and the lines after the last one."""
    facts: dict[str, str] = {}
    for line in (sources.text("/proc/cpuinfo") or "").splitlines():
        key, separator, value = line.partition(":")
        if separator and value.strip():
            facts.setdefault(key.strip(), value.strip())
    return facts


def _name(sources: SystemReader, facts: dict[str, str]) -> str | None:
    """Name the processor; on ARM boards, where /proc/cpuinfo has no name, the board."""
    board = (sources.text("/proc/device-tree/model") or "").rstrip("\0").strip()
    name = facts.get("model name") or board or facts.get("Model") or facts.get("Hardware")
    return " ".join(name.split()) if name else None


def _known(words: Iterable[str]) -> tuple[str, ...]:
    """Select the instruction sets that matter to llama.cpp, by one name each."""
    there = {_ARM_NAMES.get(word, word) for word in words}
    return tuple(name for name in _FEATURES if name in there)
