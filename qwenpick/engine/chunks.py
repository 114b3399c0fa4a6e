"""A prompt, as the pieces in which the engine reads it.

Each piece is one call of the engine. Pieces start at message boundaries and are cut at fixed
steps from there, since reading the same tokens in other pieces changes the logits a little. Two
prompts agree as far as their first pieces are equal.

A piece counts twice: `n_tokens` cells of the cache, and `n_pos` positions. They differ for a
picture (its tokens share positions, M-RoPE), and for nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class TextChunk(Struct, frozen=True):
    """Tokens of text, read in one call."""

    tokens: tuple[int, ...]

    @property
    def n_tokens(self) -> int:
        """Cells of the cache that it takes."""
        return len(self.tokens)

    @property
    def n_pos(self) -> int:
        """Positions that it takes."""
        return len(self.tokens)


@dataclass(frozen=True, slots=True)
class ImageChunk:
    """A picture, read in one go by `reader`, which takes the position to start at."""

    key: str
    """What tells it from any other picture: a digest of its pixels."""
    n_tokens: int
    n_pos: int
    reader: Callable[[int], None] = field(compare=False, repr=False)


Chunk: TypeAlias = TextChunk | ImageChunk


class Prompt(Struct, frozen=True, kw_only=True):
    """A whole prompt, and where checkpoints pay."""

    pieces: tuple[Chunk, ...]
    starts: tuple[int, ...] = ()
    """Which piece each message starts with; the last is the answer that follows the question."""
    thinking: bool = False
    """Whether it ends inside an open thinking block."""

    @property
    def marks(self) -> set[int]:
        """After how many pieces a checkpoint stays: the system prompt, and the last question."""
        return {*self.starts[-1:], *self.starts[1:2]}

    @property
    def n_tokens(self) -> int:
        """All cells that it takes."""
        return sum(piece.n_tokens for piece in self.pieces)


def common_prefix(one: Sequence[object], other: Sequence[object]) -> int:
    """Count the first pieces, or tokens, in which two prompts agree."""
    count = 0
    for mine, theirs in zip(one, other, strict=False):
        if mine != theirs:
            break
        count += 1
    return count
