"""What a turn of a conversation yields: the only thing that a front end sees of it."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct, field

Finish = Literal["stop", "length", "loop", "interrupted", "tool_calls"]


class Reading(Struct, frozen=True):
    """How much of the prompt was read, in tokens."""

    read: int
    total: int


class Thinking(Struct, frozen=True):
    """A piece of the model's thinking; whole characters."""

    text: str
    tokens: int
    """Of the whole thinking so far: a piece may be of several."""


class Answer(Struct, frozen=True):
    """A piece of the answer; whole characters."""

    text: str


class Notice(Struct, frozen=True):
    """Something that the person must know: turns were dropped, a loop was stopped."""

    text: str


class Turn(Struct, frozen=True, kw_only=True):
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


class Finished(Struct, frozen=True):
    """The last event of every turn."""

    turn: Turn


Event = Reading | Thinking | Answer | Notice | Finished
