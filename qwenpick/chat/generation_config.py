"""How a turn is answered, and whose values hold: frozen, handed over with each turn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qwenpick.catalog.model import Model
    from qwenpick.chat.schema import Schema

Tool = dict[str, Any]
"""A function in OpenAI's form."""


class ModelInfo(Struct, frozen=True, kw_only=True):
    """Which model answers: the catalogue's, None for another file, and the file's header."""

    model: Model | None = None
    metadata: Mapping[str, object] = field(default_factory=dict)


class GenerationConfig(Struct, frozen=True, kw_only=True):
    """How a turn is answered."""

    thinking: bool = False
    mode: str = "general"
    """general or coding: which of the model's sampling values hold."""
    max_tokens: int | None = None
    think_budget: int | None = None
    """Tokens after which a thought is closed."""
    stop: tuple[str, ...] = ()
    """Texts that end an answer; they are not a part of it."""
    guard: bool = True
    """Whether repetition ends an answer; under a schema it never does."""
    sampling: Mapping[str, float] = field(default_factory=dict)
    """Values in place of the model's own: temperature, top_p, top_k, min_p, presence_penalty."""
    seed: int | None = None
    tools: tuple[Tool, ...] = ()
    schema: Schema | None = None
    """What the answer must meet."""
