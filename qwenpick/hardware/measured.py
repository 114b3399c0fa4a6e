"""What was measured on this machine: one record a model file and set-up, kept as JSON at home.

`bench` and `chat` in run/ write them; the pick reads them. A newer record of the same file, set-up
and engine takes the older one's place.
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from qwenpick.home import home

_FILE = "measured.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """Rates of one model file in one set-up, in tokens per second."""

    model_file: str
    size: str | None
    quant: str | None
    weights_bytes: int
    threads: int
    repack: bool
    gpu_layers: int
    prompt_rate: float | None
    decode_rate: float | None
    memory_bandwidth_bytes_per_second: float | None = None
    engine_version: str
    taken: str
    """ISO date."""

    @property
    def key(self) -> tuple[object, ...]:
        """What makes two records ones of the same thing."""
        return (
            self.model_file, self.size, self.quant, self.threads, self.repack, self.gpu_layers,
            self.engine_version,
        )  # fmt: skip


def load() -> tuple[Measurement, ...]:
    """Give all records, the oldest first; none where there is no file, or a broken one."""
    try:
        records = json.loads((home() / _FILE).read_text(encoding="utf-8"))
        return tuple(Measurement(**record) for record in records)
    except (OSError, ValueError, TypeError):
        return ()


def keep(measurement: Measurement) -> None:
    """Keep a record; rates that it does not have are taken over from the one it replaces."""
    kept = {one.key: one for one in load()}
    older = kept.pop(measurement.key, None)
    if older:
        measurement = _completed(measurement, older)
    kept[measurement.key] = measurement
    _write([asdict(one) for one in kept.values()])


def _completed(newer: Measurement, older: Measurement) -> Measurement:
    values = {
        slot.name: getattr(older, slot.name) if value is None else value
        for slot in fields(newer)
        for value in [getattr(newer, slot.name)]
    }
    return Measurement(**values)


def _write(records: list[dict[str, Any]]) -> None:
    """Write the file whole or not at all."""
    folder = home()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(
        "w", dir=folder, prefix=_FILE, delete=False, encoding="utf-8"
    ) as file:
        json.dump(records, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    Path(file.name).replace(folder / _FILE)
