"""What a command costs before it does anything: wall time and peak memory of its start.

Each command runs in turn with the bare interpreter, round after round, so that a busy
machine is busy for both; medians, and the difference to `python -c pass`. With another checkout
(`git worktree add OTHER COMMIT`) its commands run in turn with ours, and the last column is our
time over theirs, both without the bare interpreter's.

    python benchmarks/startup.py [--rounds 15] [--against OTHER] [--json]
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import qwenpick

BARE = "python -c pass"
COMMANDS = ("--help", "recommend --json", "recommend", "probe --json")
TARGETS_MS = {"--help": 90, "recommend --json": 120, "recommend": 160, "probe --json": 100}
MEMORY_MIB = 45


def run(words: str, folder: str, tree: Path) -> tuple[float, float]:
    """Run a command of a checkout in a folder; give its seconds and its peak memory in MiB."""
    command = ["-c", "pass"] if words == BARE else ["-m", "qwenpick", *words.split()]
    env = os.environ | {"QWENPICK_HOME": folder, "PYTHONPATH": str(tree)}
    start = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, *command], env=env, cwd=folder, stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{words} of {tree} ended with {child.returncode}")
    return seconds, usage.ru_maxrss / 1024


def measure(rounds: int, trees: list[Path]) -> dict[tuple[str, Path], tuple[float, float]]:
    """Give the medians of each command of each checkout; the first round is not counted."""
    todo = [(BARE, trees[0]), *((words, tree) for words in COMMANDS for tree in trees)]
    results: dict[tuple[str, Path], list[tuple[float, float]]] = {one: [] for one in todo}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds + 1):
            for words, tree in todo:
                results[words, tree].append(run(words, folder, tree))
    return {
        one: (
            statistics.median(seconds for seconds, _ in rows[1:]),
            statistics.median(peak for _, peak in rows[1:]),
        )
        for one, rows in results.items()
    }


def main() -> None:
    """Measure, and print the table or its JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--against", type=Path)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    ours = Path(qwenpick.__file__).parent.parent
    trees = [ours, *([options.against.resolve()] if options.against else [])]
    for tree in trees:
        compileall.compile_dir(tree / "qwenpick", quiet=1)
    medians = measure(options.rounds, trees)
    bare, _ = medians[BARE, ours]
    table = {
        words: {
            "ms": round(medians[words, ours][0] * 1e3, 1),
            "over_bare_ms": round((medians[words, ours][0] - bare) * 1e3, 1),
            "target_ms": TARGETS_MS.get(words),
            "peak_mib": round(medians[words, ours][1], 1),
            "of_other": round(
                (medians[words, ours][0] - bare) / (medians[words, trees[-1]][0] - bare), 2
            ),
        }
        for words in COMMANDS
    }
    if options.json:
        print(json.dumps(table, indent=1))
        return
    head = (
        f"{'command':18} {'ms':>7} {'over bare':>10} {'target':>7} {'peak MiB':>9} {'of other':>9}"
    )
    print(head)
    for name, row in table.items():
        print(
            f"{name:18} {row['ms']:7} {row['over_bare_ms']:10} {row['target_ms']:7} "
            f"{row['peak_mib']:9} {row['of_other'] if options.against else '':>9}"
        )
    print(f"{BARE}: {bare * 1e3:.1f} ms; memory target: {MEMORY_MIB} MiB")
    print(f"median of {options.rounds} interleaved rounds")


if __name__ == "__main__":
    main()
