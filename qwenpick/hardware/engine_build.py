"""Which build of llama-cpp-python is in this environment, from its files alone.

The package is never imported: that takes 0.2 s, and a build for another processor
ends the process. Its version is in the name of its metadata folder, its backends in
the names of its libraries (ggml is built with one library a backend).
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from qwenpick.hardware.machine import EngineBuild

if TYPE_CHECKING:
    from qwenpick.hardware.system_reader import SystemReader

_FIRST_WITH_QWEN35 = (0, 3, 17)
"""Older builds answer "unknown model architecture: 'qwen35'"."""
_METADATA = re.compile(r"llama_cpp_python-(\d+(?:\.\d+)*)[^-]*\.dist-info", re.IGNORECASE)
_BACKENDS = ("cpu", "cuda", "hip", "vulkan", "metal", "sycl")
_LIBRARY = re.compile(r"(?:lib)?ggml-([a-z]+)[-.\w]*?\.(?:so|dylib|dll)\b")


def engine(sources: SystemReader) -> EngineBuild:
    """Find the engine on the search path, as an import would."""
    for folder in sources.search:
        package = Path(folder or ".") / "llama_cpp"
        if os.path.isfile(package / "__init__.py"):  # noqa: PTH113 - Path.is_file raises
            version = version_in(package.parent)
            return EngineBuild(
                installed=True,
                version=version,
                backends=_backends(package / "lib"),
                knows_qwen35=_numbers(version) >= _FIRST_WITH_QWEN35 if version else None,
            )
    return EngineBuild(installed=False)


def version_in(site: Path) -> str | None:
    """Read the version off the name of the metadata folder beside the package."""
    for entry in site.iterdir():
        match = _METADATA.fullmatch(entry.name)
        if match:
            return match[1]
    return None


def _backends(libraries: Path) -> tuple[str, ...]:
    """Read the backends off the names of the libraries."""
    try:
        names = [path.name for path in libraries.iterdir()]
    except OSError:
        return ()
    found = {match[1] for match in map(_LIBRARY.match, names) if match}
    return tuple(backend for backend in _BACKENDS if backend in found)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
