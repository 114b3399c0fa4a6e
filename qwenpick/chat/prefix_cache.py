"""What the engine has read, and the way back: reuse of one prompt for the next.

A recurrent state can't be rolled back, so copies of it (checkpoints) are kept where the next
prompt will agree with this one. A copy holds the recurrent part alone; the attention's cells
below it stay in the cache. So checkpoints above a cut of the cache are dropped, the position is
looked at after every restore, and where nothing matches the prompt is read again.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from qwenpick.engine.chunks import Chunk, ImageChunk, Prompt, common_prefix
from qwenpick.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from qwenpick.engine.engine import Engine, State

ROLLING_TOKENS = 2048
"""A long message has a checkpoint every so many tokens: an interrupted reading goes on there."""


class Checkpoints:
    """Copies of the recurrent state by how many pieces they follow, within a budget of bytes."""

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
        """Say whether there is one after *count* pieces."""
        return count in self._kept

    def add(self, count: int, engine: Engine, *, instead: int | None = None) -> None:
        """Copy the state as it is, after *count* pieces; the oldest go where there is no room.

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

    def cut(self, count: int) -> None:
        """Drop all that follow more than *count* pieces: what they stand on is gone."""
        for at in [at for at in self._kept if at > count]:
            self._drop(at)

    def below(self, limit: int) -> Iterator[tuple[int, State]]:
        """Give those that follow at most *limit* pieces, the latest first."""
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
    """Brings the engine's context to a prompt, reading as little as it can.

    Args:
        engine: Another reader may have used it in between: then all is read again.
        budget: Bytes for checkpoints.
        reuse: False reads each prompt from an empty context, in the same pieces.
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
        return sum(piece.n_tokens for piece in self.content) + self._written

    @property
    def position(self) -> int:
        """The position that comes next."""
        return sum(piece.n_pos for piece in self.content) + self._written

    def bring(self, prompt: Prompt) -> Iterator[int]:
        """Read what the context lacks of a prompt; its last piece is always read, for the logits.

        Yields:
            How many tokens of the prompt are there: first what was reused, then after each piece.

        Raises:
            StoppedError: `Engine.stop` was called; what was read is kept to its last checkpoint.
        """
        last = len(prompt.pieces) - 1
        done = sum(piece.n_tokens for piece in self._go_back(prompt.pieces, last))
        yield done
        since = 0
        for count in range(len(self.content), last + 1):
            piece = prompt.pieces[count]
            self._read(piece, logits=count == last)
            done += piece.n_tokens
            since += piece.n_tokens
            if count + 1 in prompt.marks:
                self._mark(rolling=False)
            elif since >= ROLLING_TOKENS and count < last:
                self._mark(rolling=True)
                since = 0
            yield done

    def ahead(self, prompt: Prompt) -> None:
        """Read what the next prompt will begin with, a rolling checkpoint after each piece.

        Raises:
            StoppedError: As `bring`.
            RunError: Another reader has claimed the engine since this one did.
        """
        with self._mine():
            self._go_back(prompt.pieces, len(prompt.pieces))
        for piece in prompt.pieces[len(self.content) :]:
            self._read(piece, logits=False)
            self._mark(rolling=len(self.content) not in prompt.marks)
        self._rolling = None  # the last one stays: it is where the next prompt begins

    def write(self, token: int) -> None:
        """Put a token of the answer behind what was read; its logits come next.

        Raises:
            StoppedError: As `bring`.
        """
        self._exact = False
        with self._mine():
            self.engine.read((token,), self.position, logits=True)
        self._written += 1

    def _read(self, piece: Chunk, *, logits: bool) -> None:
        position = self.position
        self._exact = False  # until the call has come back
        with self._mine():
            if isinstance(piece, ImageChunk):
                piece.reader(position)
            else:
                self.engine.read(piece.tokens, position, logits=logits)
        self.content.append(piece)
        self._exact = True

    @contextmanager
    def _mine(self) -> Iterator[None]:
        """Have the engine, while what it has read is still this reader's."""
        with self.engine.alone():
            if self.engine.user is not self:
                raise RunError("Another conversation has taken the engine.", hint="Say it again.")
            yield

    def _mark(self, *, rolling: bool) -> None:
        if not (self.engine.recurrent and self._reuse):
            return
        count, before = len(self.content), self._rolling
        self._rolling = count if rolling and count not in self.checkpoints else None
        self.checkpoints.add(count, self.engine, instead=before)

    def _go_back(self, pieces: Sequence[Chunk], limit: int) -> Sequence[Chunk]:
        """Put the context to where it agrees with *pieces*, at most *limit* of them."""
        self.claim()
        limit = min(common_prefix(self.content, pieces), limit) if self._reuse else 0
        self._rolling = None
        if limit == len(self.content) and self._exact and not self._written and limit:
            return self.content
        for count in self._ways_back(limit):
            del self.content[count:]
            self.checkpoints.cut(count)
            self._written, self._exact = 0, True
            return self.content
        self.forget()
        return self.content

    def _ways_back(self, limit: int) -> Iterator[int]:
        """Try to go back to at most *limit* pieces; gives the count that worked."""
        if limit and not self.engine.recurrent and self.engine.cut(self._position_of(limit)):
            yield limit
        for count, data in self.checkpoints.below(limit):
            if self.engine.load_state(data, self._position_of(count)):
                self.checkpoints.touch(count)
                yield count

    def _position_of(self, count: int) -> int:
        return sum(piece.n_pos for piece in self.content[:count])

    def fit(self) -> None:
        """Go back to the last place that what was read can be told of exactly."""
        self._go_back(list(self.content), len(self.content))

    def adopt(self, pieces: list[Chunk], data: State) -> bool:
        """Take over a whole state that follows *pieces*; false where the engine refuses it."""
        self.forget()
        self.content = pieces
        fits = self.n_tokens <= self.engine.n_ctx
        if fits and self.engine.load_state(data, self.position, whole=True):
            return True
        self.forget()
        return False

    def claim(self) -> None:
        """Have the engine for oneself from now on: where another had it, it is emptied."""
        if self.engine.user is not self:
            self.forget()

    def forget(self) -> None:
        """Empty the context, and have it for oneself."""
        with self.engine.alone():
            self.engine.user = self
            self.engine.clear()
        self.content.clear()
        self.checkpoints.cut(-1)
        self._written, self._exact = 0, True
