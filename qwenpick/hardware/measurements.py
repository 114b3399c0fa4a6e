"""Rates that were measured on this machine: written by `bench` and chats, read by all.

One JSON file in qwenpick's home, newest last, one record for a model file and its settings.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from qwenpick import files
from qwenpick.errors import UsageError
from qwenpick.hardware.machine import Measurement

if TYPE_CHECKING:
    from pathlib import Path


def load() -> tuple[Measurement, ...]:
    """Read what was measured; a record, or a file, that can't be read counts as none."""
    try:
        rows = files.document(_path(), tuple[msgspec.Raw, ...], what="the measurements")
    except UsageError:
        return ()
    found = []
    for row in rows:
        with suppress(UsageError):
            found.append(files.decode(bytes(row), Measurement, what="a measurement"))
    return tuple(found)


def bandwidth() -> float | None:
    """Give the memory's bandwidth as it was last measured, in bytes per second."""
    rates = (one.memory_bandwidth_bytes_per_second for one in reversed(load()))
    return next((rate for rate in rates if rate), None)


def keep(record: Measurement, *, weight: float = 1.0) -> None:
    """Save a measurement, in place of the older one of the same file and settings.

    What is None in it is taken from the older one; with a *weight* below 1 the rates only move
    that far from it.

    Raises:
        OSError: It cannot be written.
    """
    with files.locked(_path()):
        rows = load()
        before = next((one for one in rows if one.key == record.key), record)
        merged = replace(
            record,
            prompt_rate=_moved(before.prompt_rate, record.prompt_rate, weight),
            decode_rate=_moved(before.decode_rate, record.decode_rate, weight),
            memory_bandwidth_bytes_per_second=record.memory_bandwidth_bytes_per_second
            or before.memory_bandwidth_bytes_per_second,
        )
        kept = [one for one in rows if one.key != record.key]
        document = msgspec.json.encode([*kept, merged])
        files.write(_path(), msgspec.json.format(document, indent=1))


def _moved(before: float | None, now: float | None, weight: float) -> float | None:
    return now * weight + before * (1 - weight) if before and now else now or before


def _path() -> Path:
    return files.home() / "measurements.json"
