"""What images take: the sum against what the engine reports and what the process takes.

    python benchmarks/sight.py [tiny 0.8b-tiny 0.8b 2b] [--out FILE] [--doc PAGE]

Each image is shown in its own process (`qwenpick chat --image ... --json`), with random
weights all of it; `0.8b-tiny` is the 0.8B with a tiny projector. `--from FILE` prints what was
measured before.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import projector
import shapes
from PIL import Image
from record import Benchmark

from qwenpick.app.projectors import read_projector_shape
from qwenpick.catalog import table
from qwenpick.pick.memory import FileFacts, memory_sum, predicted_peak, used_late
from qwenpick.pick.request import Settings
from qwenpick.pick.vision_memory import ProjectorShape, encoding_bytes, vision_bytes
from qwenpick.pull.gguf.model_file import read_model
from qwenpick.units import MIB

if TYPE_CHECKING:
    from collections.abc import Iterator

MARKS = ("<!-- vision -->", "<!-- end of vision -->")
PROMPT = "so " * 600
"""More than a batch, so that the work on text is there, too."""
SIZES = ((64, 64), (320, 240), (640, 480), (768, 768), (1024, 1024), (4000, 1000))
PLAN = {"tiny": SIZES, "0.8b-tiny": SIZES, "0.8b": SIZES, "2b": ((640, 480), (1024, 1024))}
EYES = {
    "tiny": projector.TINY,
    "0.8b-tiny": replace(projector.TINY, out=projector.REAL_SMALL.out),
    "0.8b": projector.REAL_SMALL,
    "2b": projector.REAL_MIDDLE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One image: how it was shown, and what it took, in bytes."""

    model: str
    image: str
    tokens: int
    """Of the image."""
    weights: int
    projector_weights: int
    settings: Settings
    read: int
    """Tokens of the whole conversation."""
    checkpoints: int
    """Bytes of the checkpoints that were made."""
    reported: int
    """The encoder's compute buffer, as the library reports it."""
    peak: int

    def projector(self) -> ProjectorShape:
        """Give the projector's shape, with the catalogue's figure where it is one of its own."""
        eyes = EYES[self.model]
        known = next(
            (
                one.projector.encoding
                for one in table.load().models
                if one.projector and one.projector.shape == (eyes.hidden, eyes.ffn, eyes.layers)
            ),
            None,
        )
        return ProjectorShape(
            weights=self.projector_weights, hidden=eyes.hidden, ffn=eyes.ffn, out=eyes.out,
            encoding=known,
        )  # fmt: skip

    @property
    def buffer(self) -> int:
        """Give the encoder's buffer as the sum has it."""
        return encoding_bytes(self.projector(), self.tokens)

    def predicted(self) -> int:
        """Give the peak that the sum predicts."""
        model = table.load().model(self.model.split("-")[0])
        shape = model.architecture if model else shapes.TINY
        compute = model.compute if model else None
        file = FileFacts(bytes=0, weights=self.weights, compute=compute)
        total = memory_sum(shape, file, self.settings, checkpoints=self.checkpoints)
        late = used_late(total, self.settings)
        seen = vision_bytes(self.projector(), self.tokens, later=late)
        return predicted_peak(total, self.settings, read=self.read) + seen


def measure(model: str, folder: Path) -> Iterator[Row]:
    """Write a model with its projector, and show it each image of the plan."""
    eyes = read_projector_shape(projector.write(folder / "mmproj-F16.gguf", EYES[model]))
    path = folder / f"{model}.gguf"
    if model == "tiny":
        shapes.write(path, shapes.TINY)
    else:
        shapes.write_size(path, model.split("-", maxsplit=1)[0], "Q4_K_M")
    marks = 2  # what the template writes around a image
    words = talk(path)["turns"][0]["prompt_tokens"] + marks
    weights = sum(tensor.bytes for tensor in read_model(path).tensors)
    for width, height in PLAN[model]:
        took = talk(path, "--image", str(draw(folder / "image.png", width, height)))
        memory, turn = took["memory"], took["turns"][0]
        row = Row(
            model=model,
            image=f"{width} x {height}",
            tokens=turn["prompt_tokens"] - words,
            weights=weights,
            projector_weights=eyes.weights,
            settings=Settings(**took["settings"]),
            read=turn["prompt_tokens"] + turn["completion_tokens"],
            checkpoints=0,
            reported=memory["buffers"]["vision"],
            peak=memory["actual"],
        )
        yield replace(row, checkpoints=memory["predicted"] - row.predicted())
    path.unlink()


def draw(path: Path, width: int, height: int) -> Path:
    """Write a image of noise, which no format makes smaller."""
    pixels = np.random.default_rng(1).integers(0, 255, (height, width, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def talk(model: Path, *more: str) -> Any:  # noqa: ANN401 - JSON
    """Say the prompt to a model, and give the document of its answer."""
    command = [str(Path(sys.executable).with_name("qwenpick")), "chat", str(model), *more]
    command += ["-p", PROMPT, "--json", "--no-save", "--max-tokens", "1", "--context", "4k"]
    command += ["--ubatch", "64"] if model.stem == "tiny" else []
    command += ["--threads", "1"]  # of which memory takes no notice, and a busy machine does
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def page(rows: list[Row]) -> Iterator[str]:
    """Say for each image what was predicted and what was there, in MiB."""
    titles = ["model", "image", "tokens", "buffer", "reported", "predicted", "peak", "error"]
    yield f"| {' | '.join(titles)} |"
    yield f"|{' --- |' * len(titles)}"
    for row in rows:
        yield (
            f"| {row.model} | {row.image} | {row.tokens:,} | {row.buffer / MIB:.2f} | "
            f"{row.reported / MIB:.2f} | {row.predicted() / MIB:,.0f} | {row.peak / MIB:,.0f} | "
            f"{error(row):+.1%} |"
        )
    worst = max(abs(row.buffer - row.reported) for row in rows) / MIB
    errors = [abs(error(row)) for row in rows]
    near = sum(one <= 0.03 for one in errors)
    yield ""
    yield (
        f"{len(rows)} images. The buffer is {worst:.2f} MiB off at worst; the peak "
        f"{max(errors):.1%} at worst, within 3 % at {near} of {len(rows)}."
    )


def error(row: Row) -> float:
    """Give how far the predicted peak is off, as a share of the real one."""
    return row.predicted() / row.peak - 1


if __name__ == "__main__":
    Benchmark(plan=PLAN, row=Row, measure=measure, page=page, marks=MARKS).run(__doc__)
