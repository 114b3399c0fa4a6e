"""What pictures take: the law against what the engine reports and what the process takes.

    python benchmarks/sight.py [tiny 0.8b-tiny 0.8b 2b] [--out FILE] [--doc docs/memory.md]

Each picture is shown in a process of its own (`qwenpick chat --image ... --json`), with random
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
from qwenpick.pick.vision_memory import encoding_bytes
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
    """One picture: what was predicted and what was there, in bytes."""

    model: str
    picture: str
    tokens: int
    buffer: tuple[int, int]
    """Predicted, and as the library reported it."""
    peak: tuple[int, int]
    """Predicted, and the process's."""


def measure(model: str, folder: Path) -> Iterator[Row]:
    """Write a model with its projector, and show it each picture of the plan."""
    eyes = read_projector_shape(projector.write(folder / "mmproj-F16.gguf", EYES[model]))
    path = folder / f"{model}.gguf"
    if model == "tiny":
        shapes.write(path, shapes.TINY)
    else:
        shapes.write_size(path, model.split("-", maxsplit=1)[0], "Q4_K_M")
    marks = 2  # what the template writes around a picture
    words = talk(path)["turns"][0]["prompt_tokens"] + marks
    for width, height in PLAN[model]:
        took = talk(path, "--image", str(draw(folder / "picture.png", width, height)))
        memory = took["memory"]
        tokens = took["turns"][0]["prompt_tokens"] - words
        yield Row(
            model=model,
            picture=f"{width} x {height}",
            tokens=tokens,
            buffer=(encoding_bytes(eyes, tokens), memory["buffers"]["vision"]),
            peak=(memory["predicted"], memory["actual"]),
        )
    path.unlink()


def draw(path: Path, width: int, height: int) -> Path:
    """Write a picture of noise, which no format makes smaller."""
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
    """Say for each picture what was predicted and what was there, in MiB."""
    titles = ["model", "picture", "tokens", "buffer", "reported", "predicted", "peak", "error"]
    yield f"| {' | '.join(titles)} |"
    yield f"|{' --- |' * len(titles)}"
    for row in rows:
        law, said = (size / MIB for size in row.buffer)
        sum_, peak = (size / MIB for size in row.peak)
        yield (
            f"| {row.model} | {row.picture} | {row.tokens:,} | {law:.2f} | {said:.2f} | "
            f"{sum_:,.0f} | {peak:,.0f} | {_error(row):+.1%} |"
        )
    worst = max(abs(law - said) for law, said in (row.buffer for row in rows)) / MIB
    errors = [abs(_error(row)) for row in rows]
    near = sum(error <= 0.03 for error in errors)
    yield ""
    yield (
        f"{len(rows)} pictures. The buffer is {worst:.2f} MiB off at worst; the peak "
        f"{max(errors):.1%} at worst, within 3 % at {near} of {len(rows)}."
    )


def _error(row: Row) -> float:
    predicted, peak = row.peak
    return predicted / peak - 1


if __name__ == "__main__":
    Benchmark(plan=PLAN, row=Row, measure=measure, page=page, marks=MARKS).run(__doc__)
