"""Machines as folders: the `proc` and `sys` of another machine, in a temporary folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qwenpick.hardware.system_reader import SystemReader

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

GIB = 1 << 30
V1 = "1 0 0:1 / /sys/fs/cgroup/{0} rw - cgroup cgroup rw,{0}\n"
V2 = "1 0 0:1 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"


def meminfo(total: int, available: int) -> str:
    """Write /proc/meminfo, as much of it as psutil reads."""
    lines = {"MemTotal": total, "MemFree": available, "MemAvailable": available}
    lines |= dict.fromkeys(("Buffers", "Cached", "Shmem", "Active", "Inactive", "Slab"), 0)
    return "".join(f"{key}: {size // 1024} kB\n" for key, size in lines.items())


def machine(
    root: Path,
    files: Mapping[str, str],
    *,
    environment: Mapping[str, str] | None = None,
    affinity: frozenset[int] | None = None,
) -> SystemReader:
    """Lay a machine of 64 GiB out, 60 of them available, with *files* on top."""
    plain = {"/proc/meminfo": meminfo(64 * GIB, 60 * GIB), "/proc/self/cgroup": "0::/\n"}
    for name, text in (plain | dict(files)).items():
        path = root / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return SystemReader(
        root=root,
        platform="linux",
        arch="x86_64",
        environment=environment or {},
        search=(),
        affinity=lambda: affinity,
        address_space=lambda: None,
    )


def processors(
    count: int, *, threads: int = 1, capacity: Mapping[int, int] | None = None
) -> dict[str, str]:
    """Write the topology of *count* cores; a core's threads follow each other."""
    files = {}
    for number in range(count * threads):
        first = number - number % threads
        siblings = str(first) if threads == 1 else f"{first}-{first + threads - 1}"
        folder = f"/sys/devices/system/cpu/cpu{number}"
        files[f"{folder}/topology/thread_siblings_list"] = siblings
        if capacity:
            files[f"{folder}/cpu_capacity"] = str(capacity[number])
    return files
