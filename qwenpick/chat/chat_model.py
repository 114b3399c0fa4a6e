"""The model that answers: messages in, events out. It holds no conversation, and prints nothing.

How a turn goes: the messages become a prompt (prompt.py), the cache brings the engine to it,
reading only what is new (prefix_cache.py), and the answer is written (generation.py). Between turns
a thread reads what the next prompt will begin with. What the model wrote is never itself a part of
the next prompt: the template drops its thinking, and the rest is read as the template has it. So a
prompt depends on the messages alone; a turn that fails leaves nothing behind but a warmer cache.
"""

from __future__ import annotations

import bisect
import time
from functools import cache, cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from msgspec import Struct
from msgspec.structs import replace

from qwenpick.chat.events import Answer, Event, Finished, Notice, Turn
from qwenpick.chat.generation import Generation
from qwenpick.chat.messages import Message
from qwenpick.chat.prefix_cache import PrefillAhead, PrefixCache, common_prefix
from qwenpick.chat.prompt import PromptBuilder
from qwenpick.engine.engine import Stop
from qwenpick.engine.sampling import Sampler, values_for
from qwenpick.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from llguidance import LLTokenizer

    from qwenpick.catalog.model import Sampling
    from qwenpick.chat.generation_config import GenerationConfig, ModelInfo, Tool
    from qwenpick.chat.tools import ToolCallParser
    from qwenpick.engine.chunks import ImageChunk, Prompt
    from qwenpick.engine.engine import Engine

CHECKPOINT_BYTES = 256 << 20
"""Room for checkpoints where nobody says otherwise: 12 of the 0.8B and 2B, 4 of the 4B and 9B."""
_RESERVE = 1024
"""Tokens of the context that are kept free for an answer, but never more than a quarter of it."""
_NO_IMAGES: Mapping[str, ImageChunk] = MappingProxyType({})


class _Asked(Struct, frozen=True):
    """What an answer is asked for with: see `ChatModel.answer`."""

    messages: Sequence[Message]
    config: GenerationConfig
    images: Mapping[str, ImageChunk]
    first_visible: int


class ChatModel:
    """Answers messages with one engine.

    Args:
        engine: Several may share it; each then reads its prompt again.
        info: Whose sampling values hold.
        checkpoint_bytes: Room for copies of the recurrent state.
        reuse: False reads every prompt from the beginning, in the same chunks.
    """

    def __init__(
        self,
        engine: Engine,
        info: ModelInfo,
        *,
        checkpoint_bytes: int = CHECKPOINT_BYTES,
        reuse: bool = True,
    ) -> None:
        self.engine, self.info = engine, info
        self.prefix_cache = PrefixCache(engine, checkpoint_bytes, reuse=reuse)
        self._ahead = PrefillAhead(self.prefix_cache)
        self._builder = PromptBuilder(engine)

    def answer(  # noqa: PLR0913 - a turn is these
        self,
        messages: Sequence[Message],
        config: GenerationConfig,
        *,
        images: Mapping[str, ImageChunk] = _NO_IMAGES,
        first_visible: int = 0,
        attempt: int = 0,
        stop: Stop | None = None,
    ) -> Iterator[Event]:
        """Answer the last of *messages*.

        Args:
            messages: A system message may come first; the last is a user's or a tool's.
            config: How to answer.
            images: Those that the model can see, by the keys in the messages.
            first_visible: How many messages after the system prompt stay out of the prompt.
            attempt: Another one draws otherwise from the same seed.
            stop: Ends the turn from elsewhere.

        Yields:
            What happens; the last event is Finished.

        Raises:
            RunError: The last message alone is too long, or the engine cannot go on.
        """
        started = time.perf_counter()
        self.stop_prefill()
        prompt, visible = self._fit(_Asked(messages, config, images, first_visible))
        if prompt.n_tokens > self._limit(config):
            raise self._too_long(prompt, config)
        if visible > first_visible:
            yield Notice(_dropped(visible - first_visible))
        sampler = self._sampler(messages, config, attempt)
        generation = Generation(self.prefix_cache, sampler, config, stop or Stop())
        calls = _parser(config.tools)
        yield from _without_calls(generation.run(prompt), calls)
        turn = generation.turn(started, tuple(calls.calls) if calls else ())
        if turn.finish == "repetition":
            yield Notice("The model repeated itself, so it was stopped.")
        yield Finished(turn=turn, message=_message(turn), first_visible=visible)

    def prefill_ahead(
        self,
        messages: Sequence[Message],
        config: GenerationConfig,
        *,
        images: Mapping[str, ImageChunk] = _NO_IMAGES,
        first_visible: int = 0,
        next_role: Literal["user", "tool"] = "user",
    ) -> None:
        """Begin to read what the next prompt begins with, whatever *next_role* will say."""
        asked = _Asked(messages, config, images, first_visible)
        self._ahead.start(lambda: self._next_prompt(asked, next_role))

    def stop_prefill(self) -> None:
        """End reading ahead, within about 20 ms."""
        self._ahead.stop()

    def wait_prefill(self, seconds: float | None = None) -> bool:
        """Wait until all is read ahead; false where the time was too short."""
        return self._ahead.wait(seconds)

    def takes_tools(self, tools: Sequence[Tool]) -> bool:
        """Tell whether the chat template shows tools to the model; some leave them out silently."""
        return self._builder.takes_tools(tools)

    def sampling(self, messages: Sequence[Message], config: GenerationConfig) -> Sampling:
        """Give the sampling values of a turn: the model's own for its mode, and the overrides."""
        values = values_for(
            self.info.model,
            self.info.metadata,
            thinking=config.thinking,
            mode=config.mode,
            images=any(message.images for message in messages),
        )
        return replace(values, **config.sampling)

    @property
    def n_tokens(self) -> int:
        """Tokens that the context holds now."""
        return self.prefix_cache.n_tokens

    @property
    def n_ctx(self) -> int:
        """Tokens that the context has room for."""
        return self.engine.n_ctx

    def close(self) -> None:
        """End reading ahead; the engine stays the caller's to close."""
        self.stop_prefill()

    # Which messages the context has room for

    def _limit(self, config: GenerationConfig) -> int:
        """Tokens that a prompt may have: the rest is for the answer."""
        return self.n_ctx - min(config.max_tokens or _RESERVE, _RESERVE, self.n_ctx // 4)

    def _fit(self, asked: _Asked) -> tuple[Prompt, int]:
        """Give the prompt, and the first message that is in it.

        Where it outgrows the context, the oldest turns go until half of it is free: found by
        bisection over where turns begin, since each try renders and tokenises all that is left.
        """
        system = [one for one in asked.messages[:1] if one.role == "system"]
        said, config = asked.messages[len(system) :], asked.config

        @cache
        def prompt(start: int) -> Prompt:
            return self._builder.prompt(
                [*system, *said[start:]],
                thinking=config.thinking,
                tools=config.tools,
                images=asked.images,
            )

        first = asked.first_visible
        starts = [at for at, one in enumerate(said) if one.role == "user" and at > first]
        if prompt(first).n_tokens <= self._limit(config) or not starts:
            return prompt(first), first
        half = self.n_ctx // 2
        short = bisect.bisect_left(starts, True, key=lambda at: prompt(at).n_tokens <= half)
        start = starts[min(short, len(starts) - 1)]
        return prompt(start), start

    def _next_prompt(self, asked: _Asked, next_role: Literal["user", "tool"]) -> Prompt:
        """Give the chunks that all next prompts begin with."""
        calls = asked.messages[-1].tool_calls if asked.messages else ()
        call = calls[0].id if calls and next_role == "tool" else None
        one, other = (
            replace(
                asked,
                messages=[
                    *asked.messages,
                    Message(role=next_role, content=text, tool_call_id=call),
                ],
            )
            for text in ("a", "b")
        )
        prompt, visible = self._fit(one)
        alike, _ = self._fit(replace(other, first_visible=visible))
        count = common_prefix(prompt.chunks, alike.chunks)
        positions = frozenset(at for at in prompt.checkpoint_positions if at < count)
        return replace(prompt, chunks=prompt.chunks[:count], checkpoint_positions=positions)

    def _too_long(self, prompt: Prompt, config: GenerationConfig) -> RunError:
        kept = self.n_ctx - self._limit(config)
        return RunError(
            f"This message takes {prompt.n_tokens:,} tokens; the context has {self.n_ctx:,}, of "
            f"which {kept:,} are for the answer.",
            hint="Shorten it, or start again with a longer --context.",
        )

    def _sampler(
        self, messages: Sequence[Message], config: GenerationConfig, attempt: int
    ) -> Sampler:
        seed = None if config.seed is None else [config.seed, len(messages), attempt]
        mask = None
        if config.schema:
            from qwenpick.chat.constraint import Constraint

            mask = Constraint(config.schema, self._constraint_tokenizer)
        return Sampler(self.engine, self.sampling(messages, config), seed, mask)

    @cached_property
    def _constraint_tokenizer(self) -> LLTokenizer:
        from qwenpick.chat.constraint import make_tokenizer

        return make_tokenizer(self.engine)


def _parser(tools: tuple[Tool, ...]) -> ToolCallParser | None:
    if not tools:
        return None
    from qwenpick.chat.tools import ToolCallParser

    return ToolCallParser(tools)


def _without_calls(events: Iterator[Event], parser: ToolCallParser | None) -> Iterator[Event]:
    """Pass events on; what *parser* takes for tool calls is no part of the answer's text."""
    if parser is None:
        yield from events
        return
    for event in events:
        if not isinstance(event, Answer):
            yield event
        elif text := parser.feed(event.text):
            yield Answer(text)
    if text := parser.finish():
        yield Answer(text)


def _message(turn: Turn) -> Message | None:
    """Give the answer as a message, None where the turn was stopped before a word of it."""
    if turn.finish == "interrupted" and not (turn.reply or turn.thinking or turn.tool_calls):
        return None
    return Message(
        role="assistant",
        content=turn.reply,
        reasoning=turn.thinking,
        tool_calls=turn.tool_calls,
    )


def _dropped(count: int) -> str:
    words = "the oldest message" if count == 1 else f"the {count} oldest messages"
    return f"Context full: dropped {words}."
