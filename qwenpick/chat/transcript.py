"""Messages as the model sees them: the system prompt, and those in the window, as a prompt.

A prompt is a list of pieces at message boundaries: TextChunk(tokens), or ImageChunk(key, n_tokens,
n_pos, reader) for a picture, which takes n_tokens cells of the cache but only n_pos positions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from qwenpick.chat.messages import pictures_of, seen
from qwenpick.chat.prompt import PromptBuilder
from qwenpick.engine.chunks import common_prefix
from qwenpick.errors import RunError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qwenpick.chat.generation_config import TurnSettings
    from qwenpick.engine.chunks import ImageChunk, Prompt
    from qwenpick.engine.engine import Engine

_RESERVE = 1024
"""Tokens of the window that are kept free for an answer, but never more than a quarter of it."""


class Transcript:
    """What was said, and the prompts that it makes.

    Args:
        engine: Its vocabulary and template are used, and the length of its context.
        manner: Whether to think, and with which tools.
    """

    def __init__(self, engine: Engine, manner: TurnSettings) -> None:
        self.engine, self.manner = engine, manner
        self.scribe = PromptBuilder(engine)
        self.system: str | None = None
        self.messages: list[dict[str, Any]] = []
        """All that was said; `window` tells where what the model still sees begins."""
        self.window = 0
        self.pictures: dict[str, ImageChunk] = {}
        """By the key that stands in a message's `image` parts."""
        self.longer: str | None = None
        """What to type for a longer context, where it would fit."""

    def take_up(self, messages: list[dict[str, Any]], window: int) -> None:
        """Go on with kept messages; all of them are seen again where the context holds them."""
        self.messages, self.window = messages, 0
        if messages and self._prompt(messages).n_tokens > self._limit:
            self.window = window

    def next_prompt(self) -> Prompt:
        """Give what the next prompt begins with, whatever will be said."""
        one, other = ([*self.messages, {"role": "user", "content": text}] for text in ("a", "b"))
        prompt, window = self._fitted(one)
        count = common_prefix(prompt.pieces, self._prompt(other[window:]).pieces)
        starts = tuple(start for start in prompt.starts if start < count)
        return replace(prompt, pieces=prompt.pieces[:count], starts=starts)

    def fitting_prompt(self) -> tuple[Prompt, int]:
        """Give the prompt, and how many messages had to leave the window for it.

        Raises:
            RunError: The last message alone is too long.
        """
        prompt, window = self._fitted(self.messages)
        if prompt.n_tokens > self._limit:
            whole = self.engine.n_ctx
            raise RunError(
                f"This takes {prompt.n_tokens:,} tokens, and the window has {whole:,}, of which "
                f"{whole - self._limit:,} are for the answer.",
                hint="Say it in parts"
                + (f", or with a longer one: {self.longer}" if self.longer else "."),
            )
        dropped, self.window = window - self.window, window
        return prompt, dropped

    def _fitted(self, messages: Sequence[Mapping[str, Any]]) -> tuple[Prompt, int]:
        """Give the prompt of *messages*, and where the window begins for it.

        Where it outgrows the window, the oldest turns go until half is free; the system prompt
        stays.
        """
        window, limit = self.window, self._limit
        prompt = self._prompt(messages[window:])
        starts = [start for start in questions(messages) if start > window]
        while prompt.n_tokens > limit and starts:
            limit = self.engine.n_ctx // 2
            window = starts.pop(0)
            prompt = self._prompt(messages[window:])
        return prompt, window

    @property
    def _limit(self) -> int:
        """Tokens that a prompt may have: the rest is for the answer."""
        whole = self.engine.n_ctx
        return whole - min(self.manner.limits.max_tokens or _RESERVE, _RESERVE, whole // 4)

    def _prompt(self, messages: Sequence[Mapping[str, Any]]) -> Prompt:
        system = [{"role": "system", "content": self.system}] if self.system else []
        said = [*system, *messages]
        keys = [key for message in said for key in pictures_of(message)]
        return self.scribe.prompt(
            [seen(message, self.pictures) for message in said],
            thinking=self.manner.thinking,
            tools=self.manner.tools,
            pictures=[self.pictures[key] for key in keys if key in self.pictures],
        )

    def _last_question(self) -> int:
        found = questions(self.messages)
        if not found:
            raise UsageError("Nothing was said yet.")
        return found[-1]


def questions(messages: Sequence[Mapping[str, Any]]) -> list[int]:
    """Tell where turns begin."""
    return [index for index, message in enumerate(messages) if message["role"] == "user"]
