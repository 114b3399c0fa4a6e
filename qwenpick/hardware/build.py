"""Which build of the engine fits a machine, and how it gets into this environment.

The wheels and what each needs are those of llama-cpp-python's README (0.3.36), section
"Supported Backends": CUDA 11.8 to 13.2, Metal, ROCm 7.2 (Linux), HIP (Windows), Vulkan, CPU.
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from msgspec import Struct

from qwenpick.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from qwenpick.hardware.machine import Gpu, Machine

INDEX = "https://abetlen.github.io/llama-cpp-python/whl/"
ENGINE = "llama-cpp-python>=0.3.36"
_CUDA_WHEELS = ((11, 8), (12, 1), (12, 2), (12, 3), (12, 4), (12, 5), (13, 0), (13, 2))
_UNKNOWN_CUDA = (12, 4)
"""Assumed where a driver does not say: drivers since early 2024 carry it (CUDA 12.4's release
notes: 550.54.14)."""


class Build(Struct, frozen=True, kw_only=True):
    """One build: its backend, and its wheel's index or how it is compiled."""

    backend: str
    reason: str
    wheels: str | None = None
    """Name of the wheel index, None where it has to be compiled."""
    cmake: str = ""
    needs: tuple[str, ...] = ()
    """Programs that compiling it takes."""


def fitting(machine: Machine, *, rocm: bool = False) -> Build:
    """Choose the build for a machine's best GPU, else for its processor.

    Args:
        machine: As probed, or with other hardware.
        rocm: Whether AMD's ROCm is installed, without which its wheel does not start.
    """
    vendors = {gpu.vendor: gpu for gpu in reversed(machine.gpus)}
    prebuilt = machine.arch.casefold() in {"x86_64", "amd64"}
    windows = machine.os.startswith("Windows")
    if "apple" in vendors:
        return Build(backend="metal", wheels="metal", reason=vendors["apple"].name)
    if "nvidia" in vendors:
        return _cuda(vendors["nvidia"], prebuilt=prebuilt)
    amd = vendors.get("amd")
    if amd and prebuilt and (rocm or windows) and not amd.unified:
        return Build(backend="hip", wheels="hip-radeon" if windows else "rocm72", reason=amd.name)
    other = amd or vendors.get("intel")
    if other and prebuilt:
        return Build(backend="vulkan", wheels="vulkan", reason=other.name)
    if other:
        return _compiled("vulkan", "VULKAN", other.name, "glslc")
    return Build(backend="cpu", wheels="cpu", reason="no GPU that the engine could use")


def _cuda(gpu: Gpu, *, prebuilt: bool) -> Build:
    """Choose the newest wheel that this driver carries and this card is built into."""
    match = re.search(r"CUDA (\d+)\.(\d+)", gpu.driver or "")
    carried = (int(match[1]), int(match[2])) if match else _UNKNOWN_CUDA
    compute = tuple(int(part) for part in (gpu.compute or "7.5").split("."))
    usable = [
        version for version in _CUDA_WHEELS if version <= carried and _built_for(version, compute)
    ]
    if not prebuilt or not usable:
        return _compiled("cuda", "CUDA", gpu.name, "nvcc")
    major, minor = usable[-1]
    reason = f"{gpu.name}, its driver carries CUDA {carried[0]}.{carried[1]}"
    return Build(backend="cuda", wheels=f"cu{major}{minor}", reason=reason if match else gpu.name)


def _built_for(version: tuple[int, int], compute: tuple[int, ...]) -> bool:
    """Say whether a CUDA version's wheel has code for a compute capability."""
    if version < (12, 0):
        return (6, 0) <= compute <= (8, 9)
    return compute >= ((6, 0) if version < (13, 0) else (7, 5))


def _compiled(backend: str, name: str, reason: str, *programs: str) -> Build:
    return Build(
        backend=backend,
        reason=f"{reason}; there is no wheel for it, so it is compiled",
        cmake=f"-DGGML_{name}=on",
        needs=("c++", *programs),
    )


class Command(Struct, frozen=True, kw_only=True):
    """One program to run, with what it adds to the environment."""

    words: tuple[str, ...]
    cmake: str = ""

    def __str__(self) -> str:
        """Write it as a shell takes it."""
        line = shlex.join(self.words)
        return f"CMAKE_ARGS={shlex.quote(self.cmake)} {line}" if self.cmake else line


class Environment(Struct, frozen=True, kw_only=True):
    """The Python environment that the engine is to go into."""

    python: str
    prefix: Path
    is_own: bool
    """Whether it is a virtual environment, or one of conda's."""
    which: Callable[[str], str | None]
    """Where a program is (shutil.which)."""
    has_pip: bool = True

    def installer(self) -> tuple[str, ...]:
        """Give the words that install into this environment, whatever made it.

        Raises:
            RunError: It belongs to the system, or nothing can install into it.
        """
        if (self.prefix / "pipx_metadata.json").is_file() and self.which("pipx"):
            return "pipx", "runpip", self.prefix.name, "install"
        if not self.is_own and any(self.prefix.glob("lib/python3*/EXTERNALLY-MANAGED")):
            raise RunError(
                "This Python belongs to the operating system.",
                hint="Install qwenpick in a separate environment: pipx install qwenpick",
            )
        if self.has_pip:
            return self.python, "-m", "pip", "install"
        if self.which("uv"):
            return "uv", "pip", "install", "--python", self.python
        raise RunError("This environment has no pip.", hint=f"Add it: {self.python} -m ensurepip")


def commands(
    build: Build, place: Environment, others: Sequence[str], *, replace: bool
) -> list[Command]:
    """Give what has to be run to put a build in.

    A GPU's wheel is never silently compiled in its place; and a build compiled for
    another backend is not taken from the installer's cache.

    Args:
        build: What fits.
        place: Where it goes.
        others: Requirements of the engine's extra besides the engine itself.
        replace: Whether an engine is there that has to make way.
    """
    words = [*place.installer(), "--upgrade"]
    uv = words[0] == "uv"
    if build.wheels:
        if not uv:
            words.append(
                "--prefer-binary" if build.backend == "cpu" else "--only-binary=llama-cpp-python"
            )
        elif build.backend != "cpu":
            words += ["--only-binary", "llama-cpp-python"]
        words += ["--extra-index-url", INDEX + build.wheels]
    else:
        words += ["--no-cache-dir" if not uv else "--no-cache", "--no-binary", "llama-cpp-python"]
    if replace:
        words += ["--force-reinstall", "--no-deps"] if not uv else ["--reinstall", "--no-deps"]
    first = Command(words=(*words, ENGINE), cmake=build.cmake)
    if not others:
        return [first]
    return [first, Command(words=(*place.installer(), *others))]
