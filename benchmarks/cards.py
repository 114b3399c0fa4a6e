"""The memory sum on a card: against what the engine reports, and what the driver counts.

    python benchmarks/cards.py [--out FILE] [SIZE:QUANT ...]
    python benchmarks/cards.py --from cards.jsonl --doc cards.md    (both in docs/measurements)

On a machine with an NVIDIA card and an engine that drives it. Files of the real shapes with random
weights are loaded one after the other, each in a process of its own, whole on the card and in part:
1,536 tokens are read and 64 decoded. `--from` prints what was measured before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import loaded
import shapes
from record import Benchmark

from qwenpick.catalog import table
from qwenpick.hardware.probe import probe
from qwenpick.pick import placement
from qwenpick.pick.budget import Budget, Device, card_context
from qwenpick.pick.memory import FileFacts
from qwenpick.pick.profile import ModelProfile
from qwenpick.pick.request import Settings, check_kv_type
from qwenpick.pull.gguf.model_file import read_model
from qwenpick.units import MIB

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from qwenpick.pick.memory import MemorySum

MARKS = ("<!-- cards -->", "<!-- end of cards -->")
READ = 1536
ALL = 99

# context, KV type, ubatch, layers on the card
EVERY = (
    (8192, "f16", 512, ALL), (32768, "f16", 512, ALL), (32768, "q8_0", 512, ALL),
    (262144, "q8_0", 512, ALL), (131072, "q4_0", 256, ALL), (8192, "f16", 512, 16),
    (32768, "f16", 512, 20), (32768, "q8_0", 512, 8),
)  # fmt: skip
PLAN = {
    "0.8b:Q4_K_M": EVERY,
    "2b:Q4_K_M": EVERY[1:3],
    "4b:Q4_K_M": EVERY,
    "9b:Q4_K_M": EVERY,
    "9b:BF16": EVERY[1:2],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One load: which file, how, and what it took."""

    card: str
    compute: str
    """The card's compute capability."""
    model: str
    weights: int
    embedding: int
    output: int | None
    settings: Settings
    buffers: dict[str, int]
    on_card: int
    """Bytes that the driver counts for the process."""
    resident: int
    """Bytes of the process in the host's memory."""
    decode_rate: float

    def sum(self) -> MemorySum:
        """Give the memory sum."""
        model = table.load().model(self.model.split(":")[0])
        assert model
        subject = ModelProfile(
            architecture=model.architecture,
            file=FileFacts(bytes=0, weights=self.weights, compute=model.compute),
            embedding=self.embedding,
            output=self.output,
        )
        context = card_context(self.compute)
        card = Device(index=0, name=self.card, budget=1 << 40, context=context)
        memory = subject.memory(self.settings)
        budget = Budget(host=1 << 40, devices=(card,))
        return placement.requested_offload(subject, self.settings, memory, budget).memory

    @property
    def whole(self) -> bool:
        """Whether every layer lay on the card."""
        return self.settings.gpu_layers == ALL

    @property
    def compute_error(self) -> float:
        """How far the sum's compute buffers are off, in MiB."""
        return (self.sum().compute - self.buffers["compute"]) / MIB

    @property
    def errors(self) -> tuple[float, float]:
        """How far the sum is off on the card, and on the host, as shares of what was measured."""
        return self.sum().devices[0][1] / self.on_card - 1, self.on_host / self.resident - 1

    @property
    def on_host(self) -> int:
        """Give what the sum says of the host's memory, as this load had it.

        No checkpoint was made. These files have the output matrix between the embedding and the
        first layer, so where a layer stays on the host, the mapping holds that matrix, too.
        """
        total = self.sum()
        between = 0 if self.whole else self.output or 0
        return total.host - total.checkpoints + between


def measure(model: str, folder: Path) -> Iterator[Row]:
    """Write a file, and load it under every setting of the plan."""
    size, quant = model.split(":")
    path = shapes.write_size(folder / f"{size}-{quant}.gguf", size, quant)
    tensors = read_model(path).tensors
    named = {tensor.name: tensor.bytes for tensor in tensors}
    card = probe().gpus[0]
    for context, kv_type, ubatch, layers in PLAN[model]:
        settings = Settings(
            context=context,
            kv_type=check_kv_type(kv_type),
            ubatch=ubatch,
            gpu_layers=layers,
            threads=8,
        )
        took = loaded.load(path, settings, loaded.Talk(read=READ, answer=64))
        assert took.decode_rate
        yield Row(
            card=card.name,
            compute=card.compute or "",
            model=model,
            weights=sum(tensor.bytes for tensor in tensors),
            embedding=named["token_embd.weight"],
            output=named.get("output.weight"),
            settings=settings,
            buffers=took.buffers,
            on_card=took.on_card,
            resident=took.resident,
            decode_rate=took.decode_rate,
        )
    path.unlink()


def page(rows: list[Row]) -> Iterator[str]:
    """Say for each load what was predicted and what was there, in MiB."""
    titles = [
        "model", "context", "KV", "ubatch", "layers on the card", "compute", "reported",
        "on the card", "driver", "on the host", "resident", "tok/s",
    ]  # fmt: skip
    yield f"| {' | '.join(titles)} |"
    yield f"|{' --- |' * len(titles)}"
    for row in rows:
        settings, total = row.settings, row.sum()
        sizes = (total.devices[0][1], row.on_card, row.on_host, row.resident)
        yield (
            f"| {row.model} | {settings.context:,} | {settings.kv_type} | {settings.ubatch} | "
            f"{'all' if row.whole else settings.gpu_layers} | {total.compute / MIB:,.2f} | "
            f"{row.buffers['compute'] / MIB:,.2f} | "
            f"{' | '.join(f'{size / MIB:,.0f}' for size in sizes)} | {row.decode_rate:,.0f} |"
        )
    yield ""
    names = ", ".join(sorted({row.card for row in rows}))
    for title, some in (("all layers", True), ("some layers", False)):
        found = [row for row in rows if row.whole == some]
        card, host = (max((row.errors[i] for row in found), key=abs) for i in (0, 1))
        compute = max((row.compute_error for row in found), key=abs)
        yield (
            f"{len(found)} loads with {title} on an {names}: at worst the compute buffers are "
            f"{compute:+.2f} MiB off, the card's memory {card:+.1%}, the host's {host:+.1%}."
        )


if __name__ == "__main__":
    Benchmark(plan=PLAN, row=Row, measure=measure, page=page, marks=MARKS).run(__doc__)
