"""What a turn of a chat yields: the only thing that a front end sees of it."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from qwenpick.chat.messages import Message, ToolCall  # noqa: TC001 - msgspec reads them

FinishReason = Literal["stop", "length", "repetition", "interrupted", "tool_calls"]


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
    """Something that the person must know: messages were dropped, a loop was stopped."""

    text: str


class Turn(Struct, frozen=True, kw_only=True):
    """A finished turn: what was answered, and how fast."""

    reply: str
    thinking: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish: FinishReason
    prompt_tokens: int
    """The whole prompt's."""
    cached_tokens: int
    """Those of the prompt that did not have to be read in this turn."""
    completion_tokens: int
    first_token_seconds: float | None
    """From the message's being handed over to the first token, of thinking or answer."""
    prompt_rate: float | None
    """Tokens read in a second, None where none had to be."""
    decode_rate: float | None
    """Tokens written in a second, None below two tokens."""


class Finished(Struct, frozen=True, kw_only=True):
    """The last event of every turn."""

    turn: Turn
    message: Message | None
    """The answer, to be put behind the messages; None where it was stopped before a word of it."""
    first_visible: int = 0
    """The first message, not counting the system prompt, that was in the prompt."""


Event = Reading | Thinking | Answer | Notice | Finished
