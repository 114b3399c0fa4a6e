"""One load in a process of its own: what the engine reported, and what the process really took.

    python benchmarks/loaded.py MODEL '{"context": 4096, ...}' '{"read": 600, ...}'

prints a line of JSON.
"""

from __future__ import annotations

import json
import os
import random
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec import to_builtins

from qwenpick.pick.request import Settings

PLAIN_TOKENS = 500
"""Of the test models' vocabulary so many are letters and learned words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Talk:
    """What is done with a model, in this order."""

    read: int
    """Tokens read, in batches."""
    checkpoints: int = 0
    """Bytes: as many checkpoints are made as these have room for."""
    answer: int = 0
    """Tokens decoded greedily."""
    patience: float | None = None
    """Seconds after which an answer is cut short; None waits for its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What a process took, in bytes, and how fast it was, in tokens per second."""

    buffers: dict[str, int]
    peak: int
    decode_rate: float | None = None
    resident: int = 0
    """Its resident memory at the end."""
    on_card: int = 0
    """What NVIDIA's driver counts for it, 0 without one."""


def load(path: Path, settings: Settings, talk: Talk, *, cgroup: Path | None = None) -> Loaded:
    """Load *path* in a process of its own, in a *cgroup* if one is named, and say what it took.

    Raises:
        subprocess.CalledProcessError: The process was killed, or could not load it.
    """
    command = [sys.executable, __file__, str(path)]
    command += [json.dumps(to_builtins(each)) for each in (settings, talk)]
    if cgroup:  # the shell moves itself there, and then becomes the process
        command = ["sh", "-c", f'echo $$ > {cgroup}/cgroup.procs && exec "$@"', "sh", *command]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return Loaded(**json.loads(done.stdout))


def main(arguments: list[str]) -> None:
    """Be that process."""
    from qwenpick.chat.prefix_cache import Checkpoints
    from qwenpick.engine.arguments import arguments as engine_arguments
    from qwenpick.engine.engine import Engine

    path, options, asked = arguments
    settings, talk = Settings(**json.loads(options)), Talk(**json.loads(asked))
    engine = Engine(Path(path), engine_arguments(settings))
    at, rate = _read(engine, talk.read), None
    kept = Checkpoints(talk.checkpoints)
    for count in range(talk.checkpoints // engine.state_bytes()):
        kept.add(count, engine)
    if talk.answer:
        rate = _answer(engine, at, talk)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    took = Loaded(
        buffers=engine.buffers,
        peak=peak,
        decode_rate=rate,
        resident=int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize(),
        on_card=_on_card(),
    )
    print(json.dumps(to_builtins(took)))


def _on_card() -> int:
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return 0
    cards = map(pynvml.nvmlDeviceGetHandleByIndex, range(pynvml.nvmlDeviceGetCount()))
    users = (user for card in cards for user in pynvml.nvmlDeviceGetComputeRunningProcesses(card))
    return sum(user.usedGpuMemory for user in users if user.pid == os.getpid())


def _read(engine: Any, count: int) -> int:  # noqa: ANN401 - an Engine, imported late
    source, at = random.Random(1), 0  # noqa: S311 - words for a test model are no secret
    while at < count:
        piece = min(engine.n_batch, count - at)
        tokens = [source.randrange(PLAIN_TOKENS) for _ in range(piece)]
        engine.read(tokens, at, logits=at + piece == count)
        at += piece
    return at


def _answer(engine: Any, at: int, talk: Talk) -> float:  # noqa: ANN401 - the same
    from qwenpick.engine.sampling import GREEDY, Sampler

    greedy = Sampler(engine, GREEDY)
    start = time.perf_counter()
    for step in range(talk.answer):
        engine.read([greedy.sample()], at + step, logits=True)
        seconds = time.perf_counter() - start
        if talk.patience is not None and seconds > talk.patience:
            break
    return (step + 1) / seconds


if __name__ == "__main__":
    main(sys.argv[1:])
