"""What a command costs before it does anything: wall time and peak memory of its start.

Each command runs in turn with the bare interpreter, round after round, so that a busy
machine is busy for both; medians, and the difference to `python -c pass`.

    python benchmarks/startup.py [--rounds 15] [--json]
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
COMMANDS = {
    BARE: [sys.executable, "-c", "pass"],
    "--help": ["--help"],
    "recommend --json": ["recommend", "--json"],
    "recommend": ["recommend"],
    "probe --json": ["probe", "--json"],
}
TARGETS_MS = {"--help": 90, "recommend --json": 120, "recommend": 160, "probe --json": 100}
MEMORY_MIB = 45


def run(command: list[str], env: dict[str, str]) -> tuple[float, float]:
    """Run a command; give its seconds and its peak memory in MiB."""
    start = time.perf_counter()
    child = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {child.returncode}")
    return seconds, usage.ru_maxrss / 1024


def main() -> None:
    """Measure, and print the table or its JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    compileall.compile_dir(Path(qwenpick.__file__).parent, quiet=1)
    script = str(Path(sys.executable).with_name("qwenpick"))
    results: dict[str, list[tuple[float, float]]] = {name: [] for name in COMMANDS}
    with tempfile.TemporaryDirectory() as folder:
        env = os.environ | {"QWENPICK_HOME": folder}
        for _ in range(options.rounds + 1):
            for name, command in COMMANDS.items():
                full = command if name == BARE else [script, *command]
                results[name].append(run(full, env))
    medians = {
        name: tuple(statistics.median(column) for column in zip(*rows[1:], strict=True))
        for name, rows in results.items()
    }
    table = {
        name: {
            "ms": round(seconds * 1e3, 1),
            "over_bare_ms": round((seconds - medians[BARE][0]) * 1e3, 1),
            "target_ms": TARGETS_MS.get(name),
            "peak_mib": round(memory, 1),
        }
        for name, (seconds, memory) in medians.items()
    }
    if options.json:
        print(json.dumps(table, indent=1))
        return
    print(f"{'command':18} {'ms':>7} {'over bare':>10} {'target':>7} {'peak MiB':>9}")
    for name, row in table.items():
        target = row["target_ms"] or ""
        print(f"{name:18} {row['ms']:7} {row['over_bare_ms']:10} {target!s:>7} {row['peak_mib']:9}")
    print(f"memory target: {MEMORY_MIB} MiB; median of {options.rounds} interleaved rounds")


if __name__ == "__main__":
    main()
