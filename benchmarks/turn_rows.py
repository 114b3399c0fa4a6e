"""The rows of turns.py: which workers do what, and the figures that come of it."""

from __future__ import annotations

import statistics
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import vocabulary
from turn_workers import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator

FIRST_TOKENS = 1520
CONTEXT = 8192
CHECKPOINTS = 2
TIMES = 20
QUESTIONS = (
    "What is the second point of it?",
    "And why would some people say otherwise?",
    "Please say that again in one short line.",
    "What follows from that?",
    "Thank you. Is there anything else?",
)
KINDS = {
    "ours": ("ours", False), "repacked": ("ours", True), "llama": ("llama", True),
    "server": ("xllamacpp", False),
}  # fmt: skip
SCENARIOS: dict[str, dict[str, Any]] = {
    "short": {"answer": 16, "think": 0, "wait": 0},
    "kept": {"answer": 150, "think": 0, "wait": 3},
    "thinking": {"answer": 30, "think": 150, "wait": 3},
}


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table: a ratio, and what it should be."""

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


@dataclass(slots=True, kw_only=True)
class Run:
    """One interleaved run: each worker is started when it is needed, and kept."""

    model: Path
    peer: str
    threads: int
    rounds: int
    workers: dict[str, Worker] = field(default_factory=dict)

    def worker(self, name: str, *, fresh: bool = False, repack: bool | None = None) -> Worker:
        """Give a worker; a fresh one is the caller's to close."""
        kind, usual = KINDS[name]
        repack = usual if repack is None else repack
        python = self.peer if kind == "xllamacpp" else sys.executable
        if fresh:
            numbers = (CONTEXT, int(repack), self.threads)
            return Worker(python, kind, str(self.model), *map(str, numbers))
        if name not in self.workers:
            self.workers[name] = self.worker(name, fresh=True)
        return self.workers[name]

    def close(self) -> None:
        """End all workers."""
        for worker in self.workers.values():
            worker.close()
        self.workers.clear()

    def text(self, tokens: int, start: int = 0) -> str:
        """Give English text of so many tokens."""
        text = " ".join(vocabulary.TEXT.split())
        cut = self.worker("ours").do("cut", text=text, tokens=tokens, start=start)
        return str(cut["text"])

    def talk(self, worker: Worker, scenario: dict[str, Any], turns: int = 6) -> list[Any]:
        """Have a conversation; what is kept of each answer is the same for all engines."""
        worker.do("reset")
        texts = (self.text(FIRST_TOKENS), *QUESTIONS)[:turns]
        rows = []
        for index, text in enumerate(texts):
            kept = self.text(scenario["answer"], start=100 + 200 * index)
            wait = {"wait": 0} if index == 0 else {}
            rows.append(worker.do("turn", text=text, kept=kept, **scenario | wait))
        worker.do("reset")  # nobody reads ahead while another one works
        return rows


def talks(run: Run) -> Iterator[Row]:
    """Measure six turns: with short answers, with long ones kept, with thinking."""
    found: dict[tuple[str, str], list[Any]] = {}
    for _ in range(run.rounds):
        for name, scenario in SCENARIOS.items():
            for who in KINDS if name == "short" else ("ours", "server"):
                rows = run.talk(run.worker(who), scenario)
                found.setdefault((name, who), []).append([row["first"] for row in rows])

    def later(name: str, who: str) -> float:
        return float(statistics.median(first for rows in found[name, who] for first in rows[1:]))

    yield Row("short answers, against llama_cpp.Llama", later("short", "ours"),
              later("short", "llama"), 0.05)  # fmt: skip
    for name, target, words in (
        ("short", 0.9, "short answers"),
        ("kept", 0.25, "150 tokens kept, 3 s to read ahead"),
        ("thinking", 0.7, "30 tokens kept after 150 of thinking, 3 s"),
    ):
        theirs = later(name, "server")
        yield Row(f"{words}, against the server", later(name, "ours"), theirs, target)


def reading(run: Run) -> Iterator[Row]:
    """Measure the first message alone, in turn: single readings differ by a fifth."""
    found: dict[str, list[float]] = {}
    asked = {"kept": "So.", "answer": 2, "think": 0, "wait": 0}
    for _ in range(2 * run.rounds + 1):
        for who in ("ours", "repacked", "llama"):
            worker = run.worker(who)
            worker.do("reset")
            first = worker.do("turn", text=run.text(FIRST_TOKENS), **asked)["first"]
            found.setdefault(who, []).append(1 / first)
            worker.do("reset")
    middle = {who: statistics.median(speeds) for who, speeds in found.items()}
    for who, words, target in (("repacked", "both", 1.0), ("ours", "Llama alone", 1.2)):
        yield Row(f"turn 1, {words} repacked: speed against Llama", middle[who], middle["llama"],
                  target, at_most=False, unit="1/s")  # fmt: skip


def decoding(run: Run) -> Iterator[Row]:
    """Measure long answers to a short question, in turn with a bare loop at the same place."""
    found: dict[str, list[float]] = {}
    asked = {"text": "Say something long.", "kept": "So.", "answer": 200, "think": 0, "wait": 0}
    for _ in range(2 * run.rounds + 1):
        for who in ("ours", "repacked", "llama"):
            worker = run.worker(who)
            worker.do("reset")
            found.setdefault(who, []).append(worker.do("turn", **asked)["decode"])
            if who == "ours":
                bare = worker.do("bare", count=asked["answer"])["decode"]
                found.setdefault("bare", []).append(bare)
            worker.do("reset")
    middle = {who: statistics.median(rates) for who, rates in found.items()}
    yield Row("decoding, against a bare loop", middle["ours"], middle["bare"], 0.95,
              at_most=False, unit="tok/s")  # fmt: skip
    yield Row("decoding, both repacked, against Llama", middle["repacked"], middle["llama"], 1.1,
              at_most=False, unit="tok/s")  # fmt: skip


def memory(run: Run) -> Iterator[Row]:
    """Compare peaks after five turns, in fresh processes; ours against the sum, too.

    The others repack, as they do where nobody says otherwise.
    """
    peaks = {}
    for who in ("ours", "llama", "server"):
        worker = run.worker(who, fresh=True, repack=None if who == "ours" else True)
        if who == "ours":
            worker.do("reset", checkpoints=CHECKPOINTS)
        for index, text in enumerate((run.text(FIRST_TOKENS), *QUESTIONS[:4])):
            kept = run.text(24, start=100 + 200 * index)
            worker.do("turn", text=text, kept=kept, answer=24, think=0, wait=0)
        peaks[who] = worker.do("peak")["bytes"] / 2**20
        if who == "ours":  # after the peak: it reads the file's header once more
            peaks["sum"] = worker.do("sum", checkpoints=CHECKPOINTS)["bytes"] / 2**20
        worker.close()
    yield Row("peak memory, against Llama", peaks["ours"], peaks["llama"], 0.8, unit="MiB")
    yield Row("peak memory, against the server", peaks["ours"], peaks["server"], 0.75, unit="MiB")
    off = abs(peaks["sum"] / peaks["ours"] - 1)
    yield Row(f"the sum's error ({peaks['sum']:,.0f} MiB), against 3 %", off, 0.03, 1, unit="")


def resumed(run: Run) -> Iterator[Row]:
    """Measure the first token after a restart: the state is loaded, the new message is read."""
    asked = {"kept": run.text(24), "answer": 24, "think": 0, "wait": 0}
    read, again = [], []
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "state")
        for _ in range(run.rounds):
            worker = run.worker("ours", fresh=True)
            read.append(worker.do("turn", text=run.text(FIRST_TOKENS), **asked)["first"])
            messages = worker.do("save", path=path)["messages"]
            worker.close()
            worker = run.worker("ours", fresh=True)
            found = worker.do("resume", path=path, messages=messages, text=QUESTIONS[0])
            again.append(found["first"])
            worker.close()
    yield Row("a session resumed after a restart, against reading it", statistics.median(again),
              statistics.median(read), 0.1)  # fmt: skip


def stops(run: Run) -> Iterator[Row]:
    """Measure Ctrl-C while reading and while answering, and a message while reading ahead."""
    worker, message = run.worker("ours"), run.text(CONTEXT // 2)
    found: dict[str, list[float]] = {"reading": [], "answering": [], "reading ahead": []}
    for index in range(TIMES):
        after = 0.2 + 0.07 * index
        for what, text in (("reading", message), ("answering", "Say something.")):
            worker.do("reset")
            asked = {"text": text, "after": after, "answering": what == "answering"}
            found[what].append(worker.do("interrupt", **asked)["seconds"])
        worker.do("reset")
        one = worker.do("stop_ahead", text=message, after=after)
        assert one["busy"]
        found["reading ahead"].append(one["seconds"])
    worker.do("reset")
    for what, seconds in found.items():
        within = sum(one <= 0.05 for one in seconds)
        yield Row(f"stop while {what}: {within} of {TIMES} in 50 ms; the worst", max(seconds),
                  0.05, 1.0)  # fmt: skip


PARTS = {
    "talks": talks, "reading": reading, "decoding": decoding, "memory": memory,
    "resumed": resumed, "stops": stops,
}  # fmt: skip
