"""Where the probe looks: the file system, the environment and three questions to the system.

`SystemReader()` is this machine. A test gives a folder that has the `proc` and `sys` of
another machine, and answers in place of the system calls.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct, field

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def _sysctl(name: str) -> str | None:
    """Ask macOS for one value, None where it has no such name."""
    import subprocess

    try:
        answer = subprocess.run(  # noqa: S603 - a fixed program, and names of our own
            ["/usr/sbin/sysctl", "-n", name],
            capture_output=True,
            text=True,
            timeout=0.4,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() or None if answer.returncode == 0 else None


def _registry(key: str) -> tuple[Mapping[str, object], ...]:
    """Give the values of each numbered subkey of a key of Windows' local machine registry."""
    import winreg  # type: ignore[import-not-found,unused-ignore]

    found = []
    for number in range(64):
        try:
            with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, f"{key}\\{number:04d}") as subkey:  # type: ignore[attr-defined]
                count = winreg.QueryInfoKey(subkey)[1]  # type: ignore[attr-defined]
                values = [winreg.EnumValue(subkey, index) for index in range(count)]  # type: ignore[attr-defined]
        except OSError:
            break
        found.append({name: value for name, value, _ in values})
    return tuple(found)


def _processor_feature(number: int) -> bool:
    """Ask Windows whether its processor has a feature (IsProcessorFeaturePresent)."""
    import ctypes

    kernel = ctypes.windll.kernel32  # type: ignore[attr-defined]
    return bool(kernel.IsProcessorFeaturePresent(number))


def _affinity() -> frozenset[int] | None:
    """Give the logical processors that this process may run on, None where nobody says."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return None


def _address_space() -> int | None:
    """Give the limit of `ulimit -v` in bytes, None without one."""
    if sys.platform == "win32":
        return None
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if soft == resource.RLIM_INFINITY else soft


def _arch() -> str:
    if sys.platform == "win32":
        return os.environ.get("PROCESSOR_ARCHITECTURE", "")
    return os.uname().machine


class SystemReader(Struct, frozen=True, kw_only=True):
    """All that the probe reads."""

    root: Path = Path("/")
    platform: str = sys.platform
    arch: str = field(default_factory=_arch)
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    search: tuple[str, ...] = field(default_factory=lambda: tuple(sys.path))
    """Folders in which the engine may be installed."""
    affinity: Callable[[], frozenset[int] | None] = _affinity
    address_space: Callable[[], int | None] = _address_space
    sysctl: Callable[[str], str | None] = _sysctl
    registry: Callable[[str], tuple[Mapping[str, object], ...]] = _registry
    processor_feature: Callable[[int], bool] = _processor_feature

    def path(self, name: str) -> Path:
        """Give the place of an absolute path below `root`."""
        return self.root / name.lstrip("/")

    def exists(self, name: str) -> bool:
        """Say whether there is a file or a folder; False where it is not ours to see."""
        return os.path.exists(self.path(name))  # noqa: PTH110 - Path.exists raises there

    def text(self, name: str) -> str | None:
        """Read a file, stripped; None where it can't be read."""
        try:
            return self.path(name).read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            return None

    def head(self, name: str, count: int) -> bytes:
        """Read the first bytes of a file; empty where it can't be read."""
        try:
            with self.path(name).open("rb") as file:
                return file.read(count)
        except OSError:
            return b""

    def number(self, name: str) -> int | None:
        """Read a file that holds one whole number; None where it is not there or is none."""
        text = self.text(name)
        try:
            return int(text, 0) if text else None
        except ValueError:
            return None

    def names(self, name: str) -> list[str]:
        """List a folder, sorted; empty where it is not there."""
        try:
            return sorted(os.listdir(self.path(name)))  # noqa: PTH208 - names are all we need
        except OSError:
            return []
