"""The compute buffers of the catalogue's sizes, from the engine's own reports, for table.json.

    python benchmarks/compute_table.py [--write]

For each size, KV type and batch size: a constant and bytes for each token of the context. On the
host they are what llama.cpp reports for a file that has only the header (engine/dry_load.py). On a
card that holds the whole model they are a model of ggml's allocator (ggml_graph.py,
ggml_compute.py, ggml_cuda.py), which agrees with the engine on the host to the hundredth of a MiB
that the log rounds to, and with an H100's reports (docs/measurements/cards.jsonl). Where layers
stay on the host, pick/compute.py adds what they borrow. The projector's encoder is asked for two
images.
`--write` puts it all into qwenpick/catalog/table.json.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import projector
import shapes
from ggml_compute import graph_bytes
from ggml_cuda import card_bytes
from msgspec import to_builtins

from qwenpick.catalog import table
from qwenpick.catalog.model import ComputeBuffer, ComputeTable
from qwenpick.engine.arguments import arguments
from qwenpick.engine.dry_load import compute_buffers
from qwenpick.engine.engine import Engine
from qwenpick.engine.image import DecodedImage
from qwenpick.engine.vision import Projector
from qwenpick.pick.request import KV_TYPES, UBATCHES, KvType, Settings

if TYPE_CHECKING:
    from qwenpick.catalog.model import Model

LOGGED = 0.011 * (1 << 20)
"""The engine reports hundredths of a MiB."""
CONTEXTS = (16_384, 262_144)
"""On a card; at 4k with a quantised cache another stage is the largest, by up to 16 MiB."""
SIDES, TOKEN_SIDE = (320, 1024), 32
"""Pixels of the two square images that an encoder is shown, and of one token."""
HEADS = {768: 12, 1024: 16, 1152: 16}
"""Of an encoder, by its width."""


def buffers(model: Model, folder: Path) -> ComputeTable:
    """Give a size's compute buffers, and check the model of the allocator against the engine."""
    host = compute_buffers(shapes.write_header(folder / "header.gguf", model.size)).host
    for kv_type, rows in host.items():
        for batch, row in rows.items():
            laid_out = graph_bytes(model.architecture, batch, rotated=kv_type != "f16")
            assert abs(laid_out - row.constant) < LOGGED, (model.size, kv_type, batch)
            assert row.per_token == 2 * batch
    card: dict[str, dict[int, ComputeBuffer]] = {
        kv_type: {batch: _on_card(model, kv_type, batch) for batch in UBATCHES}
        for kv_type in KV_TYPES
    }
    return ComputeTable(host=host, card=card)


def _on_card(model: Model, kv_type: KvType, batch: int) -> ComputeBuffer:
    less, more = (
        card_bytes(model.architecture, Settings(context=context, kv_type=kv_type, ubatch=batch))
        for context in CONTEXTS
    )
    slope = round((more - less) / (CONTEXTS[1] - CONTEXTS[0]))
    return ComputeBuffer(less - slope * CONTEXTS[0], slope)


def encoding(model: Model, folder: Path) -> int:
    """Give the bytes of an encoder's compute buffer for each token of an image.

    The projector has the real width, two layers and a tiny text model behind it: neither the number
    of layers nor the text model's width changes the buffer (docs/measurements/sight.jsonl).
    """
    known = model.projector
    assert known
    assert known.shape
    hidden, ffn, _ = known.shape
    eyes = projector.ProjectorShape(
        hidden=hidden, ffn=ffn, layers=2, heads=HEADS[hidden], out=shapes.TINY.hidden
    )
    file = projector.write(folder / "mmproj.gguf", eyes)
    engine = Engine(
        shapes.write(folder / "tiny.gguf", shapes.TINY), arguments(Settings(context=4096))
    )
    reported = []
    for side in SIDES:
        sees = Projector(engine, file, threads=2)
        image = DecodedImage(np.zeros((side, side, 3), np.uint8), "")
        sees.chunk(image).reader(0, None)
        reported.append(sees.compute_bytes)
        sees.close()
        engine.clear()
    engine.close()
    fewer, more = ((side // TOKEN_SIDE) ** 2 for side in SIDES)
    slope = round(reported[1] / more)
    assert abs(slope * fewer - reported[0]) < LOGGED, reported
    return slope


def written(text: str, size: str, compute: ComputeTable, encoder: int) -> str:
    """Put a size's figures into the table's text, which keeps its layout."""
    start = text.index(f'  "{size}": {{')
    before, entry = text[:start], text[start:]
    entry = re.sub(r'   "compute": \{.*?\n   \},\n', "", entry, count=1, flags=re.DOTALL)
    entry = entry.replace('   "files": {', f'   "compute": {_block(compute)},\n   "files": {{', 1)
    entry = re.sub(r', "encoding_bytes_per_token": \d+', "", entry, count=1)
    layers = re.search(r'("mmproj": .*"layers": \d+)', entry)
    assert layers
    entry = entry.replace(layers[1], f'{layers[1]}, "encoding_bytes_per_token": {encoder}', 1)
    return before + entry


def _block(compute: ComputeTable) -> str:
    """Lay a table out: a line for each place and KV type."""
    places = []
    for place in ("host", "card"):
        rows: dict[str, Any] = to_builtins(getattr(compute, place))
        lines = [
            f'     "{kv_type}": '
            + json.dumps({str(batch): pair for batch, pair in by_batch.items()})
            for kv_type, by_batch in rows.items()
        ]
        places.append(f'    "{place}": {{\n' + ",\n".join(lines) + "\n    }")
    return "{\n" + ",\n".join(places) + "\n   }"


def main() -> None:
    """Measure the four sizes, print what was found, and write it where that is asked."""
    text = table.PACKAGED.read_text(encoding="utf-8")
    for model in table.load().models:
        with tempfile.TemporaryDirectory() as folder:
            compute, encoder = buffers(model, Path(folder)), encoding(model, Path(folder))
        print(f"{model.size}: {encoder} bytes for a token of an image\n{_block(compute)}")
        text = written(text, model.size, compute, encoder)
    if "--write" in sys.argv[1:]:
        table.PACKAGED.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
