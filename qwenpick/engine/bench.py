"""Measures one model on this machine: prompt and decode rates for threads and repacking."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from qwenpick.engine.arguments import arguments
from qwenpick.engine.engine import Engine
from qwenpick.engine.sampling import GREEDY, Sampler
from qwenpick.pick.speed import worth

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from qwenpick.pick.request import Settings

PROMPT = 384
"""Tokens of the prompt that is read: whole batches where a processor reads 192 at a time."""
DECODED = 32
"""Tokens that are decoded after it."""
CONTEXT = 2048
_WARM = 8
_WALKED = 1 << 30
STEADY = 1.2
"""So much faster than the other may one of two passes be."""


class Measured(Struct, frozen=True, kw_only=True):
    """What one set-up reached, in tokens per second."""

    settings: Settings
    prompt_rate: float
    decode_rate: float
    first_token_seconds: float
    memory: dict[str, int]
    """Bytes of each buffer, named as the parts of the sum."""
    steady: bool = True
    """Whether its passes agree; where they do not, the machine had other work."""


def both_ways(setups: Sequence[Settings]) -> list[Settings]:
    """Give set-ups in the order to measure them: one after the other, and back.

    A machine that is busy for a while is then busy for all of them, not for one alone.
    """
    return [*setups, *reversed(setups)]


def together(passes: Sequence[Measured]) -> Measured:
    """Sum up the passes of one set-up: the fastest, since other work only ever slows."""
    slowest, fastest = sorted(passes, key=lambda one: one.decode_rate)
    steady = fastest.decode_rate <= STEADY * slowest.decode_rate
    return replace(
        max(passes, key=lambda one: one.prompt_rate),
        decode_rate=fastest.decode_rate,
        steady=steady,
    )


def trials(settings: Settings, cores: int | None, *, on_host: bool) -> Iterator[Settings]:
    """Give the numbers of threads that are worth a try; without a layer *on_host* there is one."""
    if not on_host:
        yield replace(settings, context=min(settings.context, CONTEXT))
        return
    counts = {settings.threads, max(1, settings.threads // 2)}
    counts |= {cores} if cores and cores <= settings.threads else set()
    for threads in sorted(counts, reverse=True):
        yield replace(settings, threads=threads, context=min(settings.context, CONTEXT))


def measure(path: Path, settings: Settings) -> Measured:
    """Load the model, read a prompt and decode after it; then free it.

    Raises:
        RunError: The engine can't load or run it.
    """
    engine = Engine(path, arguments(settings))
    try:
        tokens = [index % 97 + 100 for index in range(PROMPT)]
        greedy = Sampler(engine, GREEDY)
        engine.read(tokens[:_WARM], 0, logits=True)  # maps the weights in
        engine.clear()
        started = time.perf_counter()
        for at in range(0, PROMPT, engine.n_batch):
            piece = tokens[at : at + engine.n_batch]
            engine.read(piece, at, logits=at + engine.n_batch >= PROMPT)
        token = greedy.sample()
        read = time.perf_counter()
        for index in range(DECODED):
            engine.read((token,), PROMPT + index, logits=True)
            token = greedy.sample()
        ended = time.perf_counter()
        return Measured(
            settings=settings,
            prompt_rate=PROMPT / (read - started),
            decode_rate=DECODED / (ended - read),
            first_token_seconds=read - started,
            memory=engine.buffers,
        )
    finally:
        engine.close()


def memory_bandwidth(threads: int, available: int) -> float:
    """Measure how fast so many threads read the RAM together, in bytes per second.

    The best of three walks over up to 1 GiB, which no cache holds.

    Args:
        threads: Threads that read at once.
        available: Bytes of memory that may be used; an eighth of them is.
    """
    import numpy as np

    words = min(_WALKED, available // 8) // threads // 8
    parts = [np.ones(words, np.uint64) for _ in range(threads)]
    seconds = []
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(3):
            started = time.perf_counter()
            list(pool.map(np.bitwise_or.reduce, parts))
            seconds.append(time.perf_counter() - started)
    return threads * words * 8 / min(seconds)


def best(found: list[Measured]) -> Measured:
    """Give the set-up for a chat: the fastest decoding, if repacking is worth its memory."""
    return max(found, key=lambda one: worth(one.decode_rate, repack=one.settings.repack))
