"""A pull of 1 GB from loopback, against `hf download`: time, with the sha256, and memory.

    python benchmarks/pull.py [--gigabytes 1] [--rounds 3] [--chunked]

Both fetch the same file from the same hub (tests/hub_server.py, a process of its own) into empty
caches, in turn; with --chunked from its chunk store (xet). Prints a table, then JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import gguf

HERE = Path(__file__).resolve().parent
BINARIES = Path(sys.executable).parent
REPO = "owner/repo"
FILE = "model-Q4_K_M.gguf"
MIB = 1 << 20


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--chunked", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        size = int(options.gigabytes * 10**9)
        runs = measure(Path(folder), size, options.rounds, chunked=options.chunked)
    ours, theirs = runs["qwenpick pull"], runs["hf download"]
    ratio = statistics.median(a[0] / b[0] for a, b in zip(ours, theirs, strict=True))
    print(f"{'':16}{'seconds':>10}{'peak MiB':>10}")
    for name, pairs in runs.items():
        seconds = statistics.median(wall for wall, _ in pairs)
        print(f"{name:16}{seconds:10.2f}{max(peak for _, peak in pairs) / MIB:10.0f}")
    print(f"ratio of times, median of {len(ours)} rounds: {ratio:.2f}")
    print(json.dumps({"ratio": ratio, "runs": runs}))


def measure(
    folder: Path, size: int, rounds: int, *, chunked: bool
) -> dict[str, list[tuple[float, int]]]:
    """Give seconds and peak bytes of each run, by command."""
    write_model(folder / "hub" / REPO / FILE, size)
    with subprocess.Popen(
        [
            sys.executable,
            HERE.parent / "tests" / "hub_server.py",
            folder / "hub",
            *(["--chunked"] if chunked else []),
        ],
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout
        endpoint = server.stdout.readline().strip()
        commands = {
            "qwenpick pull": ["qwenpick", "pull", f"{REPO}:Q4_K_M"],
            "hf download": ["hf", "download", REPO, FILE],
        }
        runs: dict[str, list[tuple[float, int]]] = {name: [] for name in commands}
        try:
            for _ in range(rounds):
                for name, command in commands.items():
                    runs[name].append(one(command, endpoint, folder / "cache"))
        finally:
            server.terminate()
    return runs


def one(command: list[str], endpoint: str, cache: Path) -> tuple[float, int]:
    """Run one command into an empty cache, and give its seconds and peak bytes."""
    shutil.rmtree(cache, ignore_errors=True)
    os.sync()
    environment = {
        "HF_HOME": str(cache),
        "QWENPICK_HOME": str(cache / "home"),
        "HF_ENDPOINT": endpoint,
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    started = time.perf_counter()
    process = subprocess.Popen(
        [str(BINARIES / command[0]), *command[1:]],
        env=os.environ | environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return wall, usage.ru_maxrss * 1024


def write_model(path: Path, size: int) -> None:
    """Write a valid GGUF with one tensor, and bytes that repeat nowhere behind it."""
    path.parent.mkdir(parents=True)
    writer = gguf.GGUFWriter(path, "qwen35")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with path.open("ab") as file:
        while left := size - file.tell():
            file.write(os.urandom(min(left, 16 * MIB)))


if __name__ == "__main__":
    main()
