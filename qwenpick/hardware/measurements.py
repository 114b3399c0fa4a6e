"""Rates that were measured on this machine: written by run/, read by all.

One JSON file in qwenpick's home, newest last, one record for a model file and its settings.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from msgspec import to_builtins

from qwenpick.files import home
from qwenpick.hardware.machine import Measurement

if TYPE_CHECKING:
    from pathlib import Path


def load() -> tuple[Measurement, ...]:
    """Read what was measured; a file that can't be read counts as none."""
    try:
        rows = json.loads(_path().read_text(encoding="utf-8"))
        return tuple(Measurement(**row) for row in rows)
    except (OSError, ValueError, TypeError):
        return ()


def bandwidth() -> float | None:
    """Give the memory's bandwidth as it was last measured, in bytes per second."""
    rates = (one.memory_bandwidth_bytes_per_second for one in reversed(load()))
    return next((rate for rate in rates if rate), None)


def keep(measurement: Measurement) -> None:
    """Keep a measurement, in place of an older one of the same file and settings."""
    rows = [one for one in load() if one.key != measurement.key]
    path = _path()
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps([to_builtins(one) for one in [*rows, measurement]], indent=1))
    fresh.replace(path)


def _path() -> Path:
    return home() / "measurements.json"
