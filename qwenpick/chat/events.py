"""What a turn of a conversation yields: the only thing that a front end sees of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Finish = Literal["stop", "length", "loop", "interrupted", "tool_calls"]


@dataclass(frozen=True, slots=True)
class Reading:
    """How much of the prompt was read, in tokens."""

    read: int
    total: int


@dataclass(frozen=True, slots=True)
class Thinking:
    """A piece of the model's thinking; whole characters."""

    text: str
    tokens: int
    """Of the whole thinking so far: a piece may be of several."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A piece of the answer; whole characters."""

    text: str


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that the person must know: turns were dropped, a loop was stopped."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A finished turn, with the keys of `chat --json`."""

    reply: str
    thinking: str = ""
    tool_calls: tuple[dict[str, Any], ...] = field(default=())
    finish: Finish
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    first_token_seconds: float | None
    prompt_rate: float | None
    decode_rate: float | None


@dataclass(frozen=True, slots=True)
class Finished:
    """The last event of every turn."""

    turn: Turn


Event = Reading | Thinking | Answer | Notice | Finished
