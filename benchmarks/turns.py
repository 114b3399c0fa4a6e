"""How soon each turn starts: ours, llama_cpp.Llama, and llama.cpp's server code, interleaved.

    python benchmarks/turns.py [--model FILE] [--peer PYTHON] [--rounds N] [--out FILE]
    python benchmarks/turns.py --from docs/measurements/turns.jsonl --doc docs/measurements/turns.md
    python benchmarks/turns.py --turns 300      memory over a long session, on a tiny file

PYTHON is that of a venv with xllamacpp in it; without --peer one is made in a temporary folder.
The model has the real 0.8B shape and random weights, so that only speed and memory mean anything.
`--from` prints what was measured before; `--doc` writes it into the page's marked block.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import venv
from pathlib import Path
from typing import TYPE_CHECKING

import shapes
from record import fill, kept
from turn_rows import PARTS, Row, Run

if TYPE_CHECKING:
    from collections.abc import Iterator

MARKS = ("<!-- turns -->", "<!-- end of turns -->")


def page(rows: list[Row]) -> Iterator[str]:
    """Write the rows as a table."""
    yield "| | ours | theirs | | ratio | target | met |"
    yield "| --- | --: | --: | --- | --: | --: | --- |"
    for row in rows:
        sign = "<=" if row.at_most else ">="
        digits = 0 if row.unit == "MiB" else 1 if row.unit == "tok/s" else 3
        yield (
            f"| {row.name} | {row.ours:,.{digits}f} | {row.theirs:,.{digits}f} | {row.unit} | "
            f"{row.ratio:.3f} | {sign} {row.target:g} | {'yes' if row.met else 'no'} |"
        )


def long_session(run: Run, turns: int) -> None:
    """Watch memory and open files over a long session."""
    worker = run.worker("ours")
    seen = []
    for turn in range(turns):
        text = f"And number {turn}, what of that?"
        worker.do("turn", text=text, kept=text, answer=24, think=0, wait=0)
        seen.append(worker.do("now"))
    for turn in (turns // 5, turns // 2, turns - 1):
        size = seen[turn]["bytes"] / 2**20
        print(f"turn {turn + 1}: {size:.1f} MiB, {seen[turn]['files']} files")


def measure(model: Path, given: argparse.Namespace, folder: Path) -> Iterator[Row]:
    """Measure the parts that were asked for, one row after the other."""
    run = Run(
        model=model,
        peer=given.peer or (_make_peer(folder) if not given.turns else ""),
        threads=given.threads,
        rounds=given.rounds,
    )
    if given.turns:
        long_session(run, given.turns)
    else:
        for name in given.only or PARTS:
            yield from PARTS[name](run)
    run.close()


def main() -> None:
    """Measure what the command line asks for, or read what was measured, and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, help="a file of a real shape; else one is written")
    parser.add_argument("--peer", help="the python of a venv with xllamacpp")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=PARTS, action="append")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--turns", type=int)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--from", type=Path, dest="source")
    parser.add_argument("--doc", type=Path)
    given = parser.parse_args()
    if given.source:
        rows = [Row(**json.loads(line)) for line in given.source.read_text().splitlines()]
    else:
        rows = []
        with tempfile.TemporaryDirectory() as name:
            path = Path(name) / "model.gguf"
            if given.turns:
                model = shapes.write(path, shapes.TINY, "F32")
            else:
                model = given.model or shapes.write_size(path, "0.8b", "Q4_K_M")
            for row in kept(measure(model, given, Path(name)), given.out):
                rows.append(row)
                print(row, flush=True)
    text = "\n".join(page(rows)) if rows else ""
    print(text)
    if given.doc:
        fill(given.doc, text, MARKS)


def _make_peer(folder: Path) -> str:
    venv.create(folder / "venv", with_pip=True)
    python = str(folder / "venv" / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "--quiet", "xllamacpp"], check=True)
    return python


if __name__ == "__main__":
    main()
