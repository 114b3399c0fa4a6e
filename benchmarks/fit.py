"""Whether the pick for a memory limit really runs under it, and whether a better one would have.

    sudo python benchmarks/fit.py [--rounds N] [--out FILE] [LIMIT ...]
    python benchmarks/fit.py --from fit.jsonl --doc fit.md    (both in docs/measurements)

For each limit: the pick for it (`--for max-performance`) is written with random weights and the
catalogue's bytes, and run with its own settings in turn without the limit and in a memory cgroup
of that size, dropped from the page cache before: 600 tokens read, the checkpoints of a
conversation made, 32 tokens decoded. Then the next better candidate, which was called too big.
Needs cgroup v1 at /sys/fs/cgroup/memory.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import loaded
import shapes
from record import fill, kept

from qwenpick import units
from qwenpick.catalog import table
from qwenpick.hardware.probe import probe
from qwenpick.pick.budget import Budget, exactly
from qwenpick.pick.choose import Candidate, Candidates, choose
from qwenpick.pick.fit import PickInput
from qwenpick.pick.request import Request

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMITS = ("1G", "1536M", "2G", "3G", "4G", "6G", "8G", "12G")
CGROUPS = Path("/sys/fs/cgroup/memory")
PROMPT, ANSWER = 600, 32
HOLDS, FALLS = 0.9, 0.5
"""Parts of the free rate: a pick that fits keeps the first, one too big falls below the second."""
PATIENCE = 10
"""So many times as long as without the limit an answer may take before it is cut short."""
MARKS = ("<!-- fit -->", "<!-- end of fit -->")


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineTrial:
    """What came of a candidate under a limit: bytes, and tokens per second."""

    name: str
    context: int
    total: int
    """What the sum says it takes."""
    free: float
    """Its rate without the limit, the median of the rounds."""
    under: float
    """Its rate under the limit, likewise; 0 where it did not get through."""
    peak: int
    failed: str = ""
    """`killed` or `refused`, where it was."""

    @property
    def part(self) -> float:
        """What of the free rate is left under the limit."""
        return self.under / self.free


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One limit: the pick for it, and the next better one, where there is one."""

    limit: int
    pick: EngineTrial
    better: EngineTrial | None

    def line(self) -> str:
        """Say it as a row of the table."""
        pick, better = self.pick, self.better
        cells = [
            units.memory(self.limit),
            f"{pick.name}, {units.context(pick.context)}",
            f"{pick.total / units.MIB:,.0f}",
            f"{pick.peak / units.MIB:,.0f}",
            f"{pick.free:.1f}",
            pick.failed or f"{pick.under:.1f} ({pick.part:.2f})",
        ]
        if better:
            over = f"{(better.total - self.limit) / units.MIB:,.0f}"
            fell = better.failed or f"{better.under:.1f} of {better.free:.1f} ({better.part:.2f})"
            careful = "" if better.part < FALLS else f", too careful by {over} MiB or more"
            cells += [f"{better.name}, {over} MiB over", f"{fell}{careful}"]
        else:
            cells += ["none", ""]
        return f"| {' | '.join(cells)} |"


def trial(candidate: Candidate, limit: int, folder: Path, rounds: int) -> EngineTrial:
    """Run a candidate without the limit and under it, in turn."""
    path = folder / "model.gguf"
    size, quant = candidate.model.size, candidate.file.quant
    shapes.write_size(path, size, quant, file_bytes=candidate.file.bytes)
    free, under, peak, failed = [], [], 0, ""
    for _ in range(rounds):
        _drop(path)
        free.append(_run(candidate, path)[0])
        _drop(path)
        try:
            with _limited(limit) as cgroup:
                patience = PATIENCE * ANSWER / free[-1]
                rate, peak = _run(candidate, path, cgroup=cgroup, patience=patience)
        except subprocess.CalledProcessError as error:
            rate, failed = 0.0, "killed" if error.returncode < 0 else "refused"
        under.append(rate)
    path.unlink()
    return EngineTrial(
        name=candidate.name,
        context=candidate.settled.settings.context,
        total=candidate.settled.memory.total,
        free=median(free),
        under=0.0 if failed else median(under),
        peak=peak,
        failed=failed,
    )


def picked(limit: int) -> tuple[Candidate, Candidate | None]:
    """Give the pick for a limit, and the nearest of the better ones that were called too big."""
    question = PickInput(
        catalog=table.load(),
        machine=probe(),
        wish=Request(use="max-performance"),
        budget=exactly(Budget(host=limit), limit),
    )
    candidates = Candidates(question)
    pick = choose(candidates)
    if pick is None:
        raise SystemExit(f"nothing fits {units.memory(limit)}")
    better = [
        candidate
        for candidate in candidates.every()
        if candidate.verdict == "too-big" and candidate.quality.score > pick.quality.score
    ]
    return pick, min(better, key=lambda one: one.quality.score, default=None)


def _run(
    candidate: Candidate,
    path: Path,
    *,
    cgroup: Path | None = None,
    patience: float | None = None,
) -> tuple[float, int]:
    """Give the rate of decoding, and the peak of the process in bytes."""
    settled = candidate.settled
    talk = loaded.Talk(
        read=PROMPT,
        checkpoints=settled.memory.checkpoints,
        answer=ANSWER,
        patience=patience,
    )
    took = loaded.load(path, settled.settings, talk, cgroup=cgroup)
    assert took.decode_rate
    return took.decode_rate, took.peak


def _drop(path: Path) -> None:
    """Take a file's pages out of the cache, so that they are counted to who reads them next."""
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)


@contextmanager
def _limited(limit: int) -> Iterator[Path]:
    """Make a memory cgroup of *limit* bytes, and take it away again."""
    cgroup = CGROUPS / f"qwenpick-fit-{os.getpid()}"
    cgroup.mkdir()
    try:
        (cgroup / "memory.limit_in_bytes").write_text(str(limit))
        yield cgroup
    finally:
        cgroup.rmdir()


def page(rows: list[Row]) -> Iterator[str]:
    """Say for each limit what came of it; sizes in MiB, rates in tokens per second."""
    yield (
        "| limit | pick | sum | peak | free | under the limit | next better | under the limit |\n"
        "| --: | --- | --: | --: | --: | --: | --- | --- |"
    )
    for row in rows:
        yield row.line()
    held = sum(row.pick.part >= HOLDS for row in rows)
    tried = [row.better for row in rows if row.better]
    fell = sum(better.part < FALLS for better in tried)
    yield f"\n{held} of {len(rows)} picks keep {HOLDS} of their rate under their limit."
    yield f"{fell} of {len(tried)} better candidates fall below {FALLS} of theirs, or fail."


def read_rows(path: Path) -> list[Row]:
    """Read what `--out` wrote."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [
        Row(
            limit=row["limit"],
            pick=EngineTrial(**row["pick"]),
            better=EngineTrial(**row["better"]) if row["better"] else None,
        )
        for row in rows
    ]


def measure(limit: int, rounds: int) -> Row:
    """Try the pick for a limit, and the next better one."""
    pick, better = picked(limit)
    with tempfile.TemporaryDirectory() as folder:
        return Row(
            limit=limit,
            pick=trial(pick, limit, Path(folder), rounds),
            better=trial(better, limit, Path(folder), 1) if better else None,
        )


def main() -> None:
    """Measure, or read what was measured, and print it."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("limits", nargs="*", metavar="LIMIT")
    options.add_argument("--rounds", type=int, default=2)
    options.add_argument("--out", type=Path)
    options.add_argument("--from", type=Path, dest="source")
    options.add_argument("--doc", type=Path)
    asked = options.parse_args()
    rows = read_rows(asked.source) if asked.source else []
    limits = [] if asked.source else asked.limits or LIMITS
    for row in kept(
        (measure(units.parse_memory(text), asked.rounds) for text in limits), asked.out
    ):
        print(row.line(), flush=True)
        rows.append(row)
    text = "\n".join(page(rows))
    print(text)
    if asked.doc:
        fill(asked.doc, text, MARKS)


if __name__ == "__main__":
    main()
