"""What the control groups of Linux leave this process: memory and CPU, v1 and v2.

A process is in one group of each tree, and every group above it limits it too, so all
levels are read and the smallest counts. Inside a container the tree that is seen may
start at its own group: then its limits are in the root's files.

Files and their meaning: the kernel's Documentation/admin-guide/cgroup-v2.rst and
Documentation/admin-guide/cgroup-v1/memory.rst.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qwenpick.hardware.system_reader import SystemReader

_UNLIMITED = 1 << 60  # v1 writes the largest multiple of a page below 2^63 for "none"
_ID = re.compile(r"[0-9a-f]{32,}")
_MOUNT = "/sys/fs/cgroup"


class MemoryLimit(Struct, frozen=True, kw_only=True):
    """What one group allows."""

    limit: int
    free: int
    """Bytes left below the limit; page cache that the kernel can drop is free."""
    source: str


class _Group(NamedTuple):
    """One level of one tree: where its files are, and its name for a person."""

    folder: str
    name: str
    version: int


def memory_limits(sources: SystemReader) -> list[MemoryLimit]:
    """Give the memory limit of every group that this process is in, from the inside out."""
    limits = []
    for group in _levels(sources, "memory"):
        if group.version == 1:
            limit = sources.number(f"{group.folder}/memory.limit_in_bytes")
            used = sources.number(f"{group.folder}/memory.usage_in_bytes")
        else:
            # Above memory.high a group is slowed down until it gives memory back
            bounds = [sources.number(f"{group.folder}/memory.{name}") for name in ("max", "high")]
            limit = min((bound for bound in bounds if bound is not None), default=None)
            used = sources.number(f"{group.folder}/memory.current")
        if limit is None or limit >= _UNLIMITED:
            continue
        taken = max(0, (used or 0) - _reclaimable(sources, group))
        limits.append(
            MemoryLimit(limit=limit, free=max(0, limit - taken), source=_describe(sources, group))
        )
    return limits


def cpu_quota(sources: SystemReader) -> float | None:
    """Give the smallest CPU quota of the groups that this process is in, in cores."""
    quotas = []
    for group in _levels(sources, "cpu"):
        if group.version == 1:
            quota = sources.number(f"{group.folder}/cpu.cfs_quota_us")
            period = sources.number(f"{group.folder}/cpu.cfs_period_us")
        else:
            words = (sources.text(f"{group.folder}/cpu.max") or "").split()
            numbers = [int(word) for word in words if word.isdecimal()]
            quota, period = numbers if len(numbers) == 2 else (None, None)  # noqa: PLR2004
        if quota and period and quota > 0:
            quotas.append(quota / period)
    return min(quotas, default=None)


def in_container(sources: SystemReader) -> bool:
    """Say whether this is the inside of a container, as far as it can be seen."""
    marks = ("/.dockerenv", "/run/.containerenv", "/run/systemd/container")
    if any(sources.exists(mark) for mark in marks):
        return True
    if "KUBERNETES_SERVICE_HOST" in sources.environment or "container" in sources.environment:
        return True
    groups = sources.text("/proc/self/cgroup") or ""
    return any(word in groups for word in ("docker", "kubepods", "lxc", "libpod", "containerd"))


def _levels(sources: SystemReader, controller: str) -> Iterator[_Group]:
    """Give the groups of this process for a controller, each tree from the inside out."""
    for line in (sources.text("/proc/self/cgroup") or "").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not path:
            continue
        if controllers == "":
            yield from _climb(sources, _mount(sources, "cgroup2", ""), path, 2)
        elif controller in controllers.split(","):
            yield from _climb(sources, _mount(sources, "cgroup", controller), path, 1)


def _climb(
    sources: SystemReader, mount: tuple[str, str], path: str, version: int
) -> Iterator[_Group]:
    """Go from the group at *path* up to the root of the tree that is mounted."""
    folder, top = mount
    inside = PurePosixPath(path)
    if top != "/" and inside.is_relative_to(top):
        inside = PurePosixPath("/") / inside.relative_to(top)
    for level in (inside, *inside.parents):
        place = folder + str(level).rstrip("/")
        if ".." not in level.parts and sources.exists(place):
            yield _Group(place, str(level), version)


def _mount(sources: SystemReader, kind: str, controller: str) -> tuple[str, str]:
    """Find where a tree is mounted, and which of its groups is the root of the mount."""
    for line in (sources.text("/proc/self/mountinfo") or "").splitlines():
        before, _, after = line.partition(" - ")
        mount, system = before.split(), after.split()
        if len(mount) < 5 or not system:  # noqa: PLR2004 - the fifth field is the place
            continue
        if system[0] == kind and (not controller or controller in system[-1].split(",")):
            return mount[4], mount[3]
    return (f"{_MOUNT}/{controller}" if controller else _MOUNT), "/"


def _reclaimable(sources: SystemReader, group: _Group) -> int:
    """Count the page cache of a group and of those below it, in bytes."""
    stat = sources.text(f"{group.folder}/memory.stat") or ""
    values = dict(line.split(" ", 1) for line in stat.splitlines() if " " in line)
    prefix = "total_" if group.version == 1 else ""
    names = [f"{prefix}inactive_file", f"{prefix}active_file"]
    if group.version == 2:  # noqa: PLR2004 - v2
        names.append("slab_reclaimable")
    return sum(int(values[name]) for name in names if values.get(name, "").isdecimal())


def _describe(sources: SystemReader, group: _Group) -> str:
    """Name a limit for a person, without the long ids of containers."""
    whose = "the container" if in_container(sources) else "the control group"
    name = _ID.sub(lambda match: match[0][:12], group.name)
    inside = "" if name == "/" else f"{name}, "
    return f"limit of {whose} ({inside}cgroup v{group.version})"
