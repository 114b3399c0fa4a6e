"""Who is talking and how: what a conversation is told from outside, and what it measures."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from qwenpick.chat.generation import Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from qwenpick.catalog.model import Model
    from qwenpick.engine.sampling import Mask


class ModelInfo(Struct, frozen=True, kw_only=True):
    """Who is talking: the catalogue's model, None for another file, and the file's header."""

    model: Model | None = None
    metadata: Mapping[str, object] = field(default_factory=dict)


class GenerationConfig(Struct, kw_only=True):
    """How the conversation goes on; all of it may be changed between turns."""

    thinking: bool = False
    mode: str = "general"
    limits: Limits = field(default_factory=Limits)
    overrides: Mapping[str, float] = field(default_factory=dict)
    """Sampling values in place of the model's own: temperature, top_p, ..."""
    seed: int | None = None
    tools: Sequence[dict[str, Any]] | None = None
    mask: Callable[[], Mask] | None = None
    """Makes the mask of one answer, for a schema."""
    read_ahead: bool = True


class PrefillTimer(Struct, kw_only=True):
    """How the reading of a prompt went."""

    started: float
    total: int = 0
    cached: int | None = None
    read: int = 0
    ended: float = 0.0

    def take(self, read: int) -> None:
        """Note that so many tokens of the prompt are there now."""
        self.cached = read if self.cached is None else self.cached
        self.read, self.ended = read, time.perf_counter()

    @property
    def rate(self) -> float | None:
        """Tokens read in a second, None where none had to be."""
        new = self.read - (self.cached or 0)
        return new / (self.ended - self.started) if new else None
