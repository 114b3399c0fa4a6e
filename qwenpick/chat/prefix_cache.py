"""What the engine has read, and the way back: reuse of one prompt for the next.

A recurrent state can't be rolled back, so copies of it (checkpoints) are kept where the next
prompt will agree with this one. A copy holds the recurrent part alone; the attention's cells
below it stay in the cache. So checkpoints above a cut of the cache are dropped, the position is
looked at after every restore, and where nothing matches the prompt is read again.
"""

from __future__ import annotations

import contextlib
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from qwenpick.engine.chunks import ImageChunk
from qwenpick.engine.engine import Stop, StoppedError
from qwenpick.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from qwenpick.engine.chunks import Chunk, Prompt
    from qwenpick.engine.engine import Engine, State

ROLLING_TOKENS = 2048
"""A long message has a checkpoint every so many tokens: an interrupted reading goes on there."""


class Checkpoints:
    """Copies of the recurrent state by how many chunks they follow, within a budget of bytes."""

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._kept: dict[int, State] = {}
        self._spare: list[State] = []
        """Bytes of those that were dropped: to write over one costs no page faults."""

    @property
    def bytes(self) -> int:
        """What they take now."""
        return sum(len(data) for data in (*self._kept.values(), *self._spare))

    def __contains__(self, count: int) -> bool:
        """Say whether there is one after *count* chunks."""
        return count in self._kept

    def add(self, count: int, engine: Engine, *, instead: int | None = None) -> None:
        """Copy the state as it is, after *count* chunks; the oldest go where there is no room.

        The one *instead* of which it is goes first.
        """
        size = engine.state_bytes()
        if size > self._budget:
            return
        for at in (count, instead):
            self._drop(at)
        self._kept[count] = engine.save_state(into=self._room(size))

    def take(self, count: int, data: State) -> None:
        """Keep a copy of one from elsewhere, where there is room for it."""
        self._spare.clear()
        if self.bytes + len(data) <= self._budget:
            self._kept[count] = bytearray(data)

    def truncate(self, count: int) -> None:
        """Drop all that follow more than *count* chunks: what they stand on is gone."""
        for at in [at for at in self._kept if at > count]:
            self._drop(at)

    def below(self, limit: int) -> Iterator[tuple[int, State]]:
        """Give those that follow at most *limit* chunks, the latest first."""
        for count in sorted((at for at in self._kept if at <= limit), reverse=True):
            yield count, self._kept[count]

    def touch(self, count: int) -> None:
        """Make one the youngest: it was used."""
        self._kept[count] = self._kept.pop(count)

    def _drop(self, count: int | None) -> None:
        if count in self._kept:
            self._spare.append(self._kept.pop(count))

    def _room(self, size: int) -> State:
        """Give the bytes of one that was dropped, else new ones, else those of the oldest."""
        while True:
            while self._spare:
                if len(data := self._spare.pop()) == size:
                    return data
            if self.bytes + size <= self._budget:
                return bytearray(size)
            self._drop(next(iter(self._kept)))


class PrefixCache:
    """What the engine's context holds, and the way to the next prompt: reads as little as it can.

    Args:
        engine: Another cache may have used it in between: then all is read again.
        budget: Bytes for checkpoints.
        reuse: False reads each prompt from an empty context, in the same chunks.
    """

    def __init__(self, engine: Engine, budget: int, *, reuse: bool = True) -> None:
        self.engine = engine
        self.checkpoints = Checkpoints(budget)
        self.content: list[Chunk] = []
        """What the cache holds, in order; after an answer there are cells above it."""
        self._reuse = reuse
        self._exact = True
        """Whether the state is the one right after `content`."""
        self._written = 0
        self._rolling: int | None = None

    @property
    def n_tokens(self) -> int:
        """Cells of the cache in use."""
        return sum(chunk.n_tokens for chunk in self.content) + self._written

    @property
    def position(self) -> int:
        """The position that comes next."""
        return sum(chunk.n_pos for chunk in self.content) + self._written

    def prefill(self, prompt: Prompt, stop: Stop) -> Iterator[int]:
        """Read what the context lacks of a prompt; its last chunk is always read, for the logits.

        Yields:
            How many tokens of the prompt are there: first what was reused, then after each chunk.

        Raises:
            StoppedError: *stop* was set; what was read is kept up to its last checkpoint.
        """
        last = len(prompt.chunks) - 1
        done = sum(chunk.n_tokens for chunk in self._go_back(prompt.chunks, last))
        yield done
        since = 0
        for count in range(len(self.content), last + 1):
            chunk = prompt.chunks[count]
            self._read(chunk, logits=count == last, stop=stop)
            done += chunk.n_tokens
            since += chunk.n_tokens
            if count + 1 in prompt.checkpoint_positions:
                self._mark(rolling=False)
            elif since >= ROLLING_TOKENS and count < last:
                self._mark(rolling=True)
                since = 0
            yield done

    def prefill_ahead(self, prompt: Prompt, stop: Stop) -> None:
        """Read what the next prompt will begin with, a rolling checkpoint after each chunk.

        Raises:
            StoppedError: As `prefill`.
            RunError: Another cache has claimed the engine since this one did.
        """
        with self._mine():
            self._go_back(prompt.chunks, len(prompt.chunks))
        for chunk in prompt.chunks[len(self.content) :]:
            self._read(chunk, logits=False, stop=stop)
            self._mark(rolling=len(self.content) not in prompt.checkpoint_positions)
        self._rolling = None  # the last one stays: it is where the next prompt begins

    def write(self, token: int, stop: Stop) -> None:
        """Put a token of the answer behind what was read; its logits come next.

        Raises:
            StoppedError: As `prefill`.
        """
        self._exact = False
        with self._mine():
            self.engine.read((token,), self.position, logits=True, stop=stop)
        self._written += 1

    def _read(self, chunk: Chunk, *, logits: bool, stop: Stop) -> None:
        position = self.position
        self._exact = False  # until the call has come back
        with self._mine():
            if isinstance(chunk, ImageChunk):
                chunk.reader(position, stop)
            else:
                self.engine.read(chunk.tokens, position, logits=logits, stop=stop)
        self.content.append(chunk)
        self._exact = True

    @contextmanager
    def _mine(self) -> Iterator[None]:
        """Have the engine, while what it has read is still this cache's."""
        with self.engine.alone():
            if self.engine.owner is not self:
                raise RunError("Another chat has taken the engine.", hint="Send the message again.")
            yield

    def _mark(self, *, rolling: bool) -> None:
        if not (self.engine.recurrent and self._reuse):
            return
        count, before = len(self.content), self._rolling
        self._rolling = count if rolling and count not in self.checkpoints else None
        self.checkpoints.add(count, self.engine, instead=before)

    def _go_back(self, chunks: Sequence[Chunk], limit: int) -> Sequence[Chunk]:
        """Put the context to where it agrees with *chunks*, at most *limit* of them."""
        self.claim()
        limit = min(common_prefix(self.content, chunks), limit) if self._reuse else 0
        self._rolling = None
        if limit == len(self.content) and self._exact and not self._written and limit:
            return self.content
        for count in self._ways_back(limit):
            del self.content[count:]
            self.checkpoints.truncate(count)
            self._written, self._exact = 0, True
            return self.content
        self.forget()
        return self.content

    def _ways_back(self, limit: int) -> Iterator[int]:
        """Try to go back to at most *limit* chunks; gives the count that worked."""
        if limit and not self.engine.recurrent and self.engine.truncate(self._position_of(limit)):
            yield limit
        for count, data in self.checkpoints.below(limit):
            if self.engine.load_state(data, self._position_of(count)):
                self.checkpoints.touch(count)
                yield count

    def _position_of(self, count: int) -> int:
        return sum(chunk.n_pos for chunk in self.content[:count])

    def rewind(self) -> None:
        """Go back to the last place that what was read can be told of exactly."""
        self._go_back(list(self.content), len(self.content))

    def restore(self, chunks: list[Chunk], data: State) -> bool:
        """Take over a whole state that follows *chunks*; false where the engine refuses it."""
        self.forget()
        self.content = chunks
        fits = self.n_tokens <= self.engine.n_ctx
        if fits and self.engine.load_state(data, self.position, whole=True):
            return True
        self.forget()
        return False

    def claim(self) -> None:
        """Have the engine for oneself from now on: where another had it, it is emptied."""
        if self.engine.owner is not self:
            self.forget()

    def forget(self) -> None:
        """Empty the context, and have it for oneself."""
        with self.engine.alone():
            self.engine.owner = self
            self.engine.clear()
        self.content.clear()
        self.checkpoints.truncate(-1)
        self._written, self._exact = 0, True


class PrefillAhead:
    """A thread that pre-processes what the next prompt will begin with, at most one at a time.

    It is the engine's only user between `start` and the end of `stop`.
    """

    def __init__(self, cache: PrefixCache) -> None:
        self._cache = cache
        self._thread: threading.Thread | None = None
        self._stop = Stop()

    def start(self, prompt: Callable[[], Prompt]) -> None:
        """Begin to read what *prompt* gives; it is called in the thread."""
        self.stop()
        self._cache.claim()
        self._stop = Stop()
        self._thread = threading.Thread(
            target=self._read, args=(prompt, self._stop), name="prefill ahead", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Stop within about 20 ms; what was read is kept up to its last checkpoint."""
        if self._thread:
            self._stop.set()
            self._thread.join()
            self._thread = None

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until all is read; false where the time was too short."""
        if self._thread:
            self._thread.join(seconds)
            return not self._thread.is_alive()
        return True

    def _read(self, prompt: Callable[[], Prompt], stop: Stop) -> None:
        # the next turn reads what is missing, and says what is wrong if anything is
        with contextlib.suppress(StoppedError, RunError):
            self._cache.prefill_ahead(prompt(), stop)


def common_prefix(one: Sequence[object], other: Sequence[object]) -> int:
    """Count the first chunks, or tokens, in which two prompts agree."""
    count = 0
    for mine, theirs in zip(one, other, strict=False):
        if mine != theirs:
            break
        count += 1
    return count
