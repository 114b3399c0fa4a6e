"""How soon each turn starts: ours, llama_cpp.Llama, and llama.cpp's server code, interleaved.

    python benchmarks/turns.py [--model FILE] [--peer PYTHON] [--rounds N] [--json FILE]
    python benchmarks/turns.py --turns 300      memory over a long session, on a tiny file

PYTHON is that of a venv with xllamacpp in it; without --peer one is made in a temporary folder.
The model has the real shape and random weights, so that only speed and memory mean anything.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import venv
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import shapes
import vocabulary

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST_TOKENS = 1520
CONTEXT = 8192
QUESTIONS = [
    "What is the second point of it?",
    "And why would some people say otherwise?",
    "Please say that again in one short line.",
    "What follows from that?",
    "Thank you. Is there anything else?",
]


class Worker:
    """An engine in a process of its own."""

    def __init__(self, python: str, kind: str, model: Path, *, repack: bool) -> None:
        script = Path(__file__).with_name("turn_workers.py")
        arguments = [python, str(script), kind, str(model), str(CONTEXT), str(int(repack))]
        self._process = subprocess.Popen(
            arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._read()

    def do(self, command: str, **values: object) -> Any:  # noqa: ANN401 - JSON
        """Run a command there."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps({"do": command} | values) + "\n")
        self._process.stdin.flush()
        return self._read()

    def close(self) -> None:
        """End it."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()

    def _read(self) -> Any:  # noqa: ANN401 - JSON
        assert self._process.stdout
        return json.loads(self._process.stdout.readline())


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the table: a ratio, and what it should be."""

    name: str
    ours: float
    theirs: float
    target: float
    at_most: bool = True
    unit: str = "s"

    @property
    def ratio(self) -> float:
        """Ours over theirs."""
        return self.ours / self.theirs

    @property
    def met(self) -> bool:
        """Whether it is as it should be."""
        return self.ratio <= self.target if self.at_most else self.ratio >= self.target

    def show(self) -> str:
        """Write it as a line."""
        sign = "<=" if self.at_most else ">="
        return (
            f"{self.name:58} {self.ours:9.3f} {self.theirs:9.3f} {self.unit:5}"
            f" {self.ratio:6.3f}  {sign} {self.target:<5} {'yes' if self.met else 'NO'}"
        )


SCENARIOS: dict[str, dict[str, Any]] = {
    "short": {"answer": 8},
    "kept": {"answer": 150, "wait": 3.0},
    "thinking": {"answer": 30, "think": 150, "wait": 3.0},
}


def scenario(worker: Worker, message: str, *, answer: int, think: int = 0, wait: float = 0) -> Any:  # noqa: ANN401 - JSON
    """Run a conversation of six turns; the times to the first token, and the decode rates."""
    worker.do("reset")
    rows = [worker.do("turn", text=message, answer=answer, think=think)]
    rows += [
        worker.do("turn", text=text, answer=answer, think=think, wait=wait) for text in QUESTIONS
    ]
    return {
        "turn_1": rows[0]["first"],
        "later": statistics.median(row["first"] for row in rows[1:]),
        "decode": statistics.median(row["decode"] for row in rows if row["decode"]),
        "rows": rows,
    }


def against_llama(model: Path, message: str, rounds: int) -> list[Line]:
    """Measure against llama_cpp.Llama: short answers, with repacked weights and without."""
    found: dict[str, list[Any]] = {"plain": [], "repacked": [], "llama": []}
    workers = {
        "plain": Worker(sys.executable, "ours", model, repack=False),
        "repacked": Worker(sys.executable, "ours", model, repack=True),
        "llama": Worker(sys.executable, "llama", model, repack=True),
    }
    for _ in range(rounds):
        for name, worker in workers.items():
            found[name].append(scenario(worker, message, answer=24))
    bare = [workers["plain"].do("bare", count=150)["decode"] for _ in range(3)]
    own = [_answering(workers["plain"]) for _ in range(3)]
    for worker in workers.values():
        worker.close()

    def middle(name: str, key: str) -> float:
        return float(statistics.median(row[key] for row in found[name]))

    return [
        Line("first token, turns 2-6, short answers, x Llama", middle("plain", "later"),
             middle("llama", "later"), 0.05),
        Line("decode, x a bare loop", statistics.median(own), statistics.median(bare), 0.95,
             at_most=False, unit="tok/s"),
        Line("decode, repacked as Llama's, x Llama", middle("repacked", "decode"),
             middle("llama", "decode"), 1.1, at_most=False, unit="tok/s"),
        Line("prompt, turn 1, repacked, Llama's time over ours", middle("llama", "turn_1"),
             middle("repacked", "turn_1"), 1.0, at_most=False),
        Line("prompt, turn 1, not repacked, Llama's time over ours", middle("llama", "turn_1"),
             middle("plain", "turn_1"), 1.2, at_most=False),
    ]  # fmt: skip


def _answering(worker: Worker) -> float:
    worker.do("reset")
    return float(worker.do("turn", text="Say something long.", answer=150)["decode"])


TARGETS = {"short": 0.9, "kept": 0.25, "thinking": 0.7}


def against_server(model: Path, message: str, peer: str, rounds: int, name: str) -> list[Line]:
    """Measure a scenario against llama.cpp's server code, both without repacked weights."""
    workers = {
        "ours": Worker(sys.executable, "ours", model, repack=False),
        "server": Worker(peer, "xllamacpp", model, repack=False),
    }
    later: dict[str, list[float]] = {who: [] for who in workers}
    for _ in range(rounds):
        for who, worker in workers.items():
            later[who].append(scenario(worker, message, **SCENARIOS[name])["later"])
    for worker in workers.values():
        worker.close()
    return [
        Line(
            f"first token, turns 2-6, {name}, x server",
            statistics.median(later["ours"]),
            statistics.median(later["server"]),
            TARGETS[name],
        )
    ]


def memory(model: Path, message: str, peer: str) -> list[Line]:
    """Compare peak memory after five turns, in fresh processes."""
    peaks = {}
    for kind, python in (("ours", sys.executable), ("llama", sys.executable), ("xllamacpp", peer)):
        worker = Worker(python, kind, model, repack=kind == "llama")
        if kind == "ours":
            worker.do("reset", checkpoints=2)
        for text in (message, *QUESTIONS[:4]):
            worker.do("turn", text=text, answer=24)
        peaks[kind] = worker.do("peak")["bytes"] / 2**20
        worker.close()
    return [
        Line("peak memory, 2 checkpoints, x Llama", peaks["ours"], peaks["llama"], 0.8, unit="MiB"),
        Line("peak memory, 2 checkpoints, x server", peaks["ours"], peaks["xllamacpp"], 0.75,
             unit="MiB"),
    ]  # fmt: skip


def alone(model: Path, message: str) -> list[Line]:
    """Measure what only ours does: a resumed session, and Ctrl-C."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "state")
        worker = Worker(sys.executable, "ours", model, repack=False)
        read = worker.do("turn", text=message, answer=24)["first"]
        kept = worker.do("save", path=path)
        worker.close()
        worker = Worker(sys.executable, "ours", model, repack=False)
        resumed = worker.do("resume", path=path, messages=kept["messages"])["first"]
        silent = []
        for index in range(20):
            worker.do("reset")
            if index % 2:
                silent.append(worker.do("interrupt", text="Say something.", after=1.0))
            else:
                silent.append(worker.do("interrupt", text=message, after=0.3 + index / 10))
        worker.close()
    worst = max(one["seconds"] for one in silent)
    within = sum(one["seconds"] <= 0.05 for one in silent)
    answering = sum(one["answering"] for one in silent)
    print(f"Ctrl-C within 50 ms: {within} of 20, {answering} while answering; worst {worst:.3f} s")
    return [
        Line("first token of a resumed session, x reading it", resumed, read, 0.1),
        Line("Ctrl-C to silence, the worst of 20, x 50 ms", worst, 0.05, 1.0),
    ]


def long_session(turns: int) -> None:
    """Watch memory and open files over a long session on a tiny model."""
    with tempfile.TemporaryDirectory() as folder:
        model = shapes.write(Path(folder) / "tiny.gguf", shapes.TINY, "F32")
        worker = Worker(sys.executable, "ours", model, repack=False)
        seen = []
        for turn in range(turns):
            worker.do("turn", text=f"And number {turn}, what of that?", answer=24)
            seen.append(worker.do("now"))
        worker.close()
    for turn in (turns // 5, turns // 2, turns - 1):
        print(
            f"turn {turn + 1}: {seen[turn]['bytes'] / 2**20:.1f} MiB, {seen[turn]['files']} files"
        )


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, help="a file of a real shape; else one is written")
    parser.add_argument("--peer", help="the python of a venv with xllamacpp")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", choices=["llama", *SCENARIOS, "memory", "alone"])
    parser.add_argument("--follow-ups", type=int, default=len(QUESTIONS), help="of 5 questions")
    parser.add_argument("--turns", type=int)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    del QUESTIONS[given.follow_ups :]
    if given.turns:
        long_session(given.turns)
        return
    with tempfile.TemporaryDirectory() as folder:
        model = given.model or shapes.write_size(Path(folder) / "model.gguf", "0.8b", "Q4_K_M")
        peer = given.peer or _make_peer(Path(folder))
        worker = Worker(sys.executable, "ours", model, repack=False)
        text = " ".join(vocabulary.TEXT.split())
        message = worker.do("cut", text=text, tokens=FIRST_TOKENS)["text"]
        worker.close()
        parts: dict[str, Callable[[], list[Line]]] = {
            "llama": lambda: against_llama(model, message, given.rounds),
            **{
                name: partial(against_server, model, message, peer, given.rounds, name)
                for name in SCENARIOS
            },
            "memory": lambda: memory(model, message, peer),
            "alone": lambda: alone(model, message),
        }
        lines = []
        for name, part in parts.items():
            if given.only in {None, name}:
                for line in part():
                    print(line.show(), flush=True)
                    lines.append(line)
    if given.json:
        given.json.write_text(json.dumps([asdict(line) for line in lines], indent=1))


def _make_peer(folder: Path) -> str:
    venv.create(folder / "venv", with_pip=True)
    python = str(folder / "venv" / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "--quiet", "xllamacpp"], check=True)
    return python


if __name__ == "__main__":
    main()
