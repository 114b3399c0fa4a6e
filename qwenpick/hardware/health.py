"""Looks at what `doctor` checks on this machine: engine, disk, power, compilers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from qwenpick.hardware import system
from qwenpick.hardware.build import fitting
from qwenpick.hardware.checks import EngineTrial

if TYPE_CHECKING:
    from qwenpick.hardware.build import Build
    from qwenpick.hardware.machine import Machine
    from qwenpick.hardware.system_reader import SystemReader

_TRY = """
import pathlib, llama_cpp
llama_cpp.llama_backend_init()
libraries = pathlib.Path(llama_cpp.__file__).parent.joinpath("lib").iterdir()
print("knows" if any(b"qwen35" in path.read_bytes() for path in libraries
                     if path.stem.startswith(("libllama", "llama"))) else "old")
"""
_NETWORKED = ("nfs", "cifs", "smb", "9p", "fuse.sshfs", "ceph", "glusterfs", "afs")
_SECONDS_FOR_ENGINE = 60.0


def try_engine(python: str = sys.executable) -> EngineTrial:
    """Import the engine in a child process, which an illegal instruction may end."""
    try:
        child = subprocess.run(  # noqa: S603 - this Python, and a text of our own
            [python, "-c", _TRY],
            capture_output=True,
            text=True,
            timeout=_SECONDS_FOR_ENGINE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return EngineTrial(
            started=False, problem=f"no answer within {_SECONDS_FOR_ENGINE:.0f} seconds"
        )
    if child.returncode == 0:
        return EngineTrial(started=True, knows_qwen35=child.stdout.strip().endswith("knows"))
    return EngineTrial(started=False, problem=_ending(child.returncode, child.stderr))


def _ending(code: int, stderr: str) -> str:
    """Say how a child process ended."""
    if code < 0:
        import signal

        name = signal.strsignal(-code) or f"signal {-code}"
        return f"{name.lower()} (built for another CPU)" if code == -4 else name.lower()  # noqa: PLR2004 - SIGILL
    lines = [line for line in stderr.splitlines() if line.strip()]
    return lines[-1].strip() if lines else f"exit code {code}"


def disk_kind(sources: SystemReader) -> str:
    """Say what makes the cache's disk slow: spinning, or across a network; empty if nothing."""
    path = system.hub_cache(sources)
    if path is None:
        return ""
    best, device = "", ""
    for line in (sources.text("/proc/self/mountinfo") or "").splitlines():
        before, _, after = line.partition(" - ")
        place = before.split()[4]
        if Path(path).is_relative_to(place) and len(place) >= len(best):
            best, device = place, f"{after.split()[0]} {before.split()[2]}"
    kind, _, number = device.partition(" ")
    if kind.startswith(_NETWORKED):
        return f"a network disk ({kind})"
    for folder in (f"/sys/dev/block/{number}", f"/sys/dev/block/{number}/.."):
        if sources.text(f"{folder}/queue/rotational") == "1" and not _is_virtual(sources, folder):
            return "a spinning disk"
    return ""


def _is_virtual(sources: SystemReader, folder: str) -> bool:
    """Tell a virtual machine's disk, which calls itself spinning and says nothing by it."""
    place = str(sources.path(folder).resolve())
    return "virtio" in place or "/virtual/" in place


def saves_power(sources: SystemReader) -> bool:
    """Say whether the machine's power mode saves energy at the cost of speed."""
    return sources.text("/sys/firmware/acpi/platform_profile") in {"low-power", "quiet"}


def fitting_here(machine: Machine) -> Build:
    """Choose the engine build for a machine; ROCm is looked for on this one."""
    return fitting(machine, rocm=Path("/opt/rocm").exists())


def missing(programs: tuple[str, ...]) -> tuple[str, ...]:
    """Give the programs that are not on the path; any compiler stands for `c++`."""
    import shutil

    compilers = ("c++", "g++", "clang++", "cl", os.environ.get("CXX") or "c++")
    return tuple(
        program
        for program in programs
        if not any(map(shutil.which, compilers if program == "c++" else (program,)))
    )
