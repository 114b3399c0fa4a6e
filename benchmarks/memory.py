"""The memory sum against the engine: every part as it reports it, and the process's real peak.

    python benchmarks/memory.py [--out FILE] [SIZE:QUANT ...]
    python benchmarks/memory.py --from memory.jsonl --doc memory.md    (both in docs/measurements)

Writes files of the four real shapes with random weights, one at a time, and loads each in a
process of its own under every setting: 600 tokens are read, in four cases all that the context
holds. Prints a line for each load, and the worst error of each part. `--from` prints what was
measured before against the sum as it is now; `--doc` writes it into the page's marked block.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import loaded
import shapes
from record import Benchmark

from qwenpick.catalog import table
from qwenpick.hardware.probe import probe
from qwenpick.pick.memory import FileFacts, MemorySum, memory_sum, predicted_peak
from qwenpick.pick.request import Settings, check_kv_type
from qwenpick.pull.gguf.model_file import read_model
from qwenpick.pull.gguf.repack import repacked_bytes
from qwenpick.units import MIB

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MARKS = ("<!-- measured -->", "<!-- end -->")
PROMPT = 600
PARTS = ("weights", "repack", "kv_cache", "recurrent_state", "compute", "output")
THREADS = min(os.cpu_count() or 1, 2)

# context, KV type, ubatch, repacked, whether the context is filled
EVERY = (
    (4096, "f16", 512, False, False), (4096, "f16", 512, True, False),
    (8192, "f16", 128, False, False), (8192, "q4_0", 64, True, False),
    (16384, "q8_0", 512, False, False), (32768, "f16", 512, False, False),
    (32768, "q8_0", 128, True, False), (65536, "q8_0", 64, False, False),
)  # fmt: skip
LONG = (
    (32768, "q4_0", 256, False, False), (131072, "q4_0", 512, False, False),
    (131072, "q8_0", 256, True, False), (262144, "q4_0", 128, False, False),
)  # fmt: skip
FILLED = ((4096, "f16", 512, False, True), (2048, "q8_0", 128, False, True))
FEW = ((4096, "f16", 512, False, False), (8192, "q8_0", 128, True, False),
       (32768, "q8_0", 256, False, False))  # fmt: skip
PLAN = {
    "0.8b:Q4_K_M": EVERY + LONG + FILLED,
    "2b:Q4_K_M": EVERY + LONG + FILLED,
    "4b:Q4_K_M": EVERY + LONG,
    "9b:Q4_K_M": EVERY,
    "0.8b:Q8_0": FEW,
    "2b:Q8_0": FEW,
    "4b:Q8_0": FEW,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One load: which file, how, and what it took."""

    model: str
    weights: int
    repack: int
    settings: Settings
    read: int
    buffers: dict[str, int]
    peak: int

    def sum(self) -> MemorySum:
        """Give the memory sum, with repacked bytes as the header and this processor have them."""
        size = self.model.split(":")[0]
        model = table.load().model(size)
        assert model
        file = FileFacts(bytes=0, weights=self.weights, repack=self.repack, compute=model.compute)
        return memory_sum(model.architecture, file, self.settings)

    def predicted(self) -> int:
        """Give the peak that the sum predicts for what was read."""
        return predicted_peak(self.sum(), self.settings, read=self.read)


def measure(model: str, folder: Path) -> Iterator[Row]:
    """Write a file, and load it under every setting of the plan."""
    size, quant = model.split(":")
    path = shapes.write_size(folder / f"{size}-{quant}.gguf", size, quant)
    tensors = read_model(path).tensors
    features = probe().cpu.features
    for context, kv_type, ubatch, repack, full in PLAN[model]:
        settings = Settings(
            context=context,
            kv_type=check_kv_type(kv_type),
            ubatch=ubatch,
            repack=repack,
            threads=THREADS,
        )
        read = context - 1 if full else PROMPT
        took = loaded.load(path, settings, loaded.Talk(read=read))
        yield Row(
            model=model,
            weights=sum(tensor.bytes for tensor in tensors),
            repack=repacked_bytes(tensors, features) if repack else 0,
            settings=settings,
            read=read,
            buffers=took.buffers,
            peak=took.peak,
        )
    path.unlink()


def page(rows: list[Row]) -> Iterator[str]:
    """Say for each load what was predicted and what was there, in MiB."""
    titles = [
        "model",
        "context",
        "KV",
        "ubatch",
        "repack",
        "read",
        "worst_buffer",
        "predicted",
        "peak",
        "error",
    ]
    yield f"| {' | '.join(titles)} |"
    yield f"|{' --- |' * len(titles)}"
    for row in rows:
        settings = row.settings
        worst = max((_off(row, part) for part in PARTS), key=abs)
        error = row.predicted() / row.peak - 1
        yield (
            f"| {row.model} | {settings.context:,} | {settings.kv_type} | {settings.ubatch} | "
            f"{'yes' if settings.repack else 'no'} | {row.read:,} | {worst:+.2f} | "
            f"{row.predicted() / MIB:,.0f} | {row.peak / MIB:,.0f} | {error:+.1%} |"
        )
    errors = [abs(row.predicted() / row.peak - 1) for row in rows]
    yield ""
    yield f"{len(rows)} loads. The worst error of each part, in MiB:"
    yield ", ".join(f"{part} {max(abs(_off(row, part)) for row in rows):.2f}" for part in PARTS)
    yield (
        f"Peak: {sum(errors) / len(errors):.1%} in the mean, {max(errors):.1%} at worst, "
        f"within 3 % at {sum(error <= 0.03 for error in errors)} of {len(rows)}."
    )


def _off(row: Row, part: str) -> float:
    predicted: int = getattr(row.sum(), part)
    return (predicted - row.buffers[part]) / MIB


if __name__ == "__main__":
    Benchmark(plan=PLAN, row=Row, measure=measure, page=page, marks=MARKS).run(__doc__)
