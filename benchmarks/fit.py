"""Whether the pick for a memory limit really runs under it, and whether a better one would have.

    sudo python benchmarks/fit.py [LIMIT ...]

For each limit: the pick for it (`--for max-performance`) is written with random weights and the
catalogue's bytes, dropped from the page cache, and run in a memory cgroup of that size: 600
tokens read, 32 decoded. The same without the limit gives the rate to compare with. Then the
next better candidate, which was called too big. Needs cgroup v1 at /sys/fs/cgroup/memory.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import loaded
import shapes

from qwenpick import units
from qwenpick.catalog import table
from qwenpick.hardware.probe import probe
from qwenpick.pick.choose import Candidate, Candidates, choose
from qwenpick.pick.settle import Question
from qwenpick.pick.wish import Wish

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMITS = ("1G", "1536M", "2G", "3G", "4G", "6G", "8G", "12G")
CGROUPS = Path("/sys/fs/cgroup/memory")
PROMPT, ANSWER = 600, 32
Run = dict[str, float]
"""A run's `rate` and `peak`; empty where it was killed or refused."""
HOLDS, FALLS = 0.9, 0.5
"""Parts of the free rate: a pick that fits keeps the first, one too big falls below the second."""


def main(limits: list[str]) -> None:
    """Print a line for each limit: the pick's rate under it, and what came of the next better."""
    print("| limit | pick | context | free tok/s | under it | peak MiB | next better | under it |")
    print("| --: | --- | --: | --: | --: | --: | --- | --: |")
    held = 0
    for text in limits or LIMITS:
        limit = units.parse_memory(text)
        pick, better = _picked(limit)
        with tempfile.TemporaryDirectory() as folder:
            free, under = _both(pick, limit, Path(folder))
        held += under.get("rate", 0) >= HOLDS * free["rate"]
        line = (
            f"| {text} | {pick.name} | {pick.settled.settings.context:,} | {free['rate']:.1f} | "
            f"{under.get('rate', 0):.1f} | {under.get('peak', 0) / units.MIB:,.0f} | "
        )
        if better:
            with tempfile.TemporaryDirectory() as folder:
                free, under = _both(better, limit, Path(folder))
            part = under.get("rate", 0) / free["rate"]
            verdict = "falls" if part < FALLS else "too careful"
            line += f"{better.name} | {part:.2f} of {free['rate']:.1f}: {verdict} |"
        print(line if better else f"{line}none | |", flush=True)
    print(
        f"\n{held} of {len(limits or LIMITS)} picks keep {HOLDS} of their rate under their limit."
    )


def _picked(limit: int) -> tuple[Candidate, Candidate | None]:
    """Give the pick for a limit, and the nearest of the better ones that were called too big."""
    wish = Wish(use="max-performance", ram=limit)
    question = Question(catalog=table.load(), machine=probe(), wish=wish)
    candidates = Candidates(question)
    pick = choose(candidates)
    if pick is None:
        raise SystemExit(f"nothing fits {units.memory(limit)}")
    better = [
        candidate
        for model, file, quality in candidates.files
        if (candidate := candidates.of(model, file, quality)).verdict == "too-big"
        and candidate.quality > pick.quality
    ]
    return pick, min(better, key=lambda one: one.quality, default=None)


def _both(
    candidate: Candidate, limit: int, folder: Path
) -> tuple[dict[str, float], dict[str, float]]:
    """Run a candidate without the limit and under it."""
    path = folder / "model.gguf"
    size = candidate.file.bytes
    shapes.write_size(path, candidate.model.size, candidate.file.quant, file_bytes=size)
    free = _run(candidate, path, None)
    _drop(path)
    with _limited(limit) as cgroup:
        return free, _run(candidate, path, cgroup)


def _run(candidate: Candidate, path: Path, cgroup: Path | None) -> Run:
    try:
        took = loaded.load(
            path, candidate.settled.settings, read=PROMPT, answer=ANSWER, cgroup=cgroup
        )
    except subprocess.CalledProcessError:
        return {}
    assert took.decode_rate
    return {"rate": took.decode_rate, "peak": took.peak}


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


if __name__ == "__main__":
    main(sys.argv[1:])
