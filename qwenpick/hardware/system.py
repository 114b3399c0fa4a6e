"""The system's own answers: which one it is, its RAM, its disk. The only user of psutil.

Linux is read without it: what it says stands in one file, and importing psutil takes a
fifth of the time in which `probe` is to answer.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from qwenpick import hub_env
from qwenpick.errors import UsageError
from qwenpick.hardware import cgroup
from qwenpick.hardware.machine import Disk, Memory

if TYPE_CHECKING:
    from qwenpick.hardware.system_reader import SystemReader


def operating_system(sources: SystemReader) -> str:
    """Name the system and its version; WSL2 is named as such."""
    if sources.platform == "darwin":
        return f"macOS {sources.sysctl('kern.osproductversion') or ''}".strip()
    if sources.platform == "win32":
        return "Windows" + (f" {_windows_version()}" if sys.platform == "win32" else "")
    release = sources.text("/proc/sys/kernel/osrelease") or ""
    details = ["WSL2"] if is_wsl(sources) else []
    details += [
        line.partition("=")[2].strip("\"'")
        for line in (sources.text("/etc/os-release") or "").splitlines()
        if line.startswith("PRETTY_NAME=")
    ]
    inside = f" ({', '.join(details)})" if details else ""
    return f"Linux {release.partition('-')[0]}".strip() + inside


def is_wsl(sources: SystemReader) -> bool:
    """Say whether this is Linux inside Windows (WSL2)."""
    return "microsoft" in (sources.text("/proc/sys/kernel/osrelease") or "").casefold()


def memory(sources: SystemReader) -> Memory:
    """Measure RAM: what is there, and what this process may use now.

    The system's "available" counts page cache that can be dropped as free, and no swap.
    Every limit that stands above the process lowers it.
    """
    total, available = _ram(sources)
    limits = [limit for limit in cgroup.memory_limits(sources) if limit.limit < total]
    address_space = sources.address_space()
    if address_space is not None and address_space < total:
        limits.append(
            cgroup.MemoryLimit(limit=address_space, free=address_space, source="ulimit -v")
        )
    smallest = min(limits, key=lambda limit: limit.limit, default=None)
    return Memory(
        total=total,
        available=min([available, *(limit.free for limit in limits)]),
        limit=smallest.limit if smallest else None,
        limit_source=smallest.source if smallest else None,
    )


def swap_used(sources: SystemReader) -> int:
    """Give the bytes of swap in use."""
    facts = _meminfo(sources)
    if facts:
        return facts.get("SwapTotal", 0) - facts.get("SwapFree", 0)
    import psutil

    return int(psutil.swap_memory().used)


def on_battery() -> bool:
    """Say whether a battery feeds this machine now."""
    import psutil

    battery = psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
    return battery is not None and battery.power_plugged is False


def physical_cores() -> int | None:
    """Count the physical cores, where no better source is at hand."""
    import psutil

    return psutil.cpu_count(logical=False)


def disk(sources: SystemReader) -> Disk:
    """Find the folder that downloads go to, and the space on its disk."""
    path = hub_cache(sources)
    if path is None:
        return Disk(path="", free=None)
    there = path
    while not os.path.exists(there) and there != there.parent:  # noqa: PTH110 - Path.exists raises
        there = there.parent
    return Disk(path=str(path), free=_free(there))


def hub_cache(sources: SystemReader) -> Path | None:
    """Give the folder of the hub's cache; it may not exist yet, None where it cannot be known."""
    try:
        return hub_env.cache_root(sources.environment)
    except UsageError:
        return None


def _ram(sources: SystemReader) -> tuple[int, int]:
    """Give the bytes of RAM, and those available; Linux says both in one file."""
    facts = _meminfo(sources)
    if "MemAvailable" in facts:
        return facts["MemTotal"], facts["MemAvailable"]
    import psutil

    found = psutil.virtual_memory()
    return int(found.total), int(found.available)


def _meminfo(sources: SystemReader) -> dict[str, int]:
    """Read /proc/meminfo in bytes; empty on other systems."""
    facts = {}
    for line in (sources.text("/proc/meminfo") or "").splitlines():
        key, _, value = line.partition(":")
        number = value.split()[:1]
        if number and number[0].isdecimal():
            facts[key] = int(number[0]) * 1024
    return facts


def _free(path: Path) -> int | None:
    """Give the bytes that a person may still write to the disk of a folder."""
    try:
        if sys.platform != "win32":
            disk = os.statvfs(path)
            return disk.f_bavail * disk.f_frsize
        import psutil

        return int(psutil.disk_usage(str(path)).free)
    except OSError:
        return None


def _windows_version() -> str:
    version = sys.getwindowsversion()  # type: ignore[attr-defined]  # on Windows alone
    return f"{version.major}.{version.minor}.{version.build}"


def peak_memory() -> int:
    """Give the peak resident memory of this process in bytes."""
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    try:  # getrusage's peak begins with that of the process which started this one
        report = Path("/proc/self/status").read_text(encoding="ascii")
        return int(report.partition("VmHWM:")[2].split()[0]) * 1024
    except (OSError, LookupError, ValueError):
        import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
