"""A prompt, as the chunks in which the engine reads it.

Each chunk is one call of the engine. Chunks start at message boundaries and are cut at fixed
steps from there, since reading the same tokens in other chunks changes the logits a little. Two
prompts agree as far as their first chunks are equal.

A chunk counts twice: `n_tokens` cells of the cache, and `n_pos` positions. They differ for an
image (its tokens share positions, M-RoPE), and for nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable

    from qwenpick.engine.engine import Stop


class TextChunk(Struct, frozen=True):
    """Tokens of text, read in one call."""

    tokens: tuple[int, ...]
    n_tokens: int
    n_pos: int


class ImageChunk(Struct, frozen=True, eq=False, kw_only=True):
    """An image, read in one go by `reader`: from a position on, unless the stop is set."""

    key: str
    """What tells it from any other image: a digest of its pixels."""
    n_tokens: int
    n_pos: int
    reader: Callable[[int, Stop | None], None]

    def __eq__(self, other: object) -> bool:
        """Compare what is read, not who reads it."""
        return isinstance(other, ImageChunk) and self.key == other.key

    def __ne__(self, other: object) -> bool:
        """Say so, since a Struct has a `__ne__` that does not ask `__eq__`."""
        return not self == other

    def __hash__(self) -> int:
        """Hash as `__eq__` compares."""
        return hash(self.key)


Chunk: TypeAlias = TextChunk | ImageChunk


class Prompt(Struct, frozen=True, kw_only=True):
    """A whole prompt, and where checkpoints pay."""

    chunks: tuple[Chunk, ...]
    n_tokens: int
    """All cells that it takes."""
    checkpoint_positions: frozenset[int] = frozenset()
    """After how many chunks a checkpoint stays: the system prompt, and the last question."""
    thinking: bool = False
    """Whether it ends inside an open thinking block."""
