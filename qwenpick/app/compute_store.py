"""The compute buffers of a model file: the catalogue's, else the engine's own, asked once.

What the engine said is kept in QWENPICK_HOME by file and engine version, so that a second start
asks nobody.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from qwenpick import files
from qwenpick.catalog.model import ComputeTable
from qwenpick.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from qwenpick.catalog.model import Architecture, Model
    from qwenpick.hardware.machine import EngineBuild

_MOST = 64
"""Files that are remembered, the newest last."""


def compute_table(
    path: Path,
    architecture: Architecture,
    model: Model | None,
    engine: EngineBuild,
    *,
    save: bool = True,
) -> ComputeTable | None:
    """Give the compute buffers of a file, None where there is no engine to ask.

    Args:
        path: A GGUF file.
        architecture: The model's shape, by the file's header.
        model: What it is of the catalogue's.
        engine: The installed engine.
        save: Whether its answer is kept.

    Raises:
        RunError: The engine refuses the file.
    """
    if model and architecture.shape == model.architecture.shape:
        return model.compute
    if not engine.installed:
        return None
    status = path.stat()
    key = f"{path.resolve()} {status.st_size} {status.st_mtime_ns} {engine.version}"
    if known := _load().get(key):
        return known
    from qwenpick.engine.dry_load import compute_buffers

    table = compute_buffers(path)
    if save:
        with suppress(OSError, UsageError):  # without a home to write to, it is asked again
            _keep(key, table)
    return table


def _load() -> dict[str, ComputeTable]:
    """Read what is kept; a file that cannot be read counts as none."""
    try:
        return files.document(_path(), dict[str, ComputeTable], what="the compute buffers in")
    except UsageError:
        return {}


def _keep(key: str, table: ComputeTable) -> None:
    with files.locked(_path()):
        kept = list(_load().items())[1 - _MOST :]
        files.write(_path(), msgspec.json.encode(dict([*kept, (key, table)])))


def _path() -> Path:
    return files.home() / "compute.json"
