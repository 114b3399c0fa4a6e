"""A conversation: takes what a person says, yields events, prints nothing.

How a turn goes: the messages become a prompt (`prompt.py`), a list of pieces at message
boundaries: TextPiece(tokens), or ImagePiece(key, n_tokens, n_pos, reader) for a picture, which
takes n_tokens cells of the cache but only n_pos positions. The reader (`checkpoints.py`) brings
the engine to it, reading only what is new; the answer is written (`reply.py`); and a worker reads
it in the form that the next prompt will have (`ahead.py`).

What the model wrote is never itself a part of the next prompt: the template drops its thinking,
and the rest is read as the template has it. So a turn's prompt depends on the messages alone.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from qwenpick.errors import RunError, UsageError
from qwenpick.run.ahead import Ahead
from qwenpick.run.checkpoints import Reader
from qwenpick.run.engine import StoppedError
from qwenpick.run.events import Answer, Event, Finished, Notice, Reading, Turn
from qwenpick.run.pieces import agreeing
from qwenpick.run.prompt import Scribe
from qwenpick.run.reply import Limits, Reply
from qwenpick.run.sampling import Sampler, values_for
from qwenpick.run.tools import ToolReader, for_template

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from qwenpick.catalog.model import Model, Sampling
    from qwenpick.run.engine import Engine
    from qwenpick.run.pieces import ImagePiece, Piece, Prompt
    from qwenpick.run.sampling import Mask

CHECKPOINT_BYTES = 256 << 20
"""Room for checkpoints where nobody says otherwise: 12 of the 0.8B and 2B, 4 of the 4B and 9B."""
CALL = "<tool_call>"
_RESERVE = 1024
"""Tokens of the window that are kept free for an answer, but never more than a quarter of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Speaker:
    """Who is talking: the catalogue's model, None for another file, and the file's header."""

    model: Model | None = None
    metadata: Mapping[str, object] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Manner:
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


@dataclass(slots=True, kw_only=True)
class _Meter:
    """How the reading of a prompt went."""

    started: float
    total: int
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


class Conversation:
    """Messages, and the engine that answers them.

    Args:
        engine: It is this conversation's alone.
        speaker: Whose sampling values hold.
        manner: How to answer; may be changed between turns.
        budget: Bytes for checkpoints.
        reuse: False reads every prompt from the beginning, in the same pieces.
    """

    def __init__(
        self,
        engine: Engine,
        speaker: Speaker,
        manner: Manner,
        *,
        budget: int = CHECKPOINT_BYTES,
        reuse: bool = True,
    ) -> None:
        self.engine, self.speaker, self.manner = engine, speaker, manner
        self.reader = Reader(engine, budget, reuse=reuse)
        self.scribe = Scribe(engine)
        self.system: str | None = None
        self.messages: list[dict[str, Any]] = []
        """All that was said; `window` tells where what the model still sees begins."""
        self.window = 0
        self.pictures: dict[str, ImagePiece] = {}
        """By the key that stands in a message's `image` parts."""
        self.ahead = Ahead(self.reader)
        self.last: Turn | None = None
        self._tries = 0

    # What a person does

    def say(self, text: str, images: Sequence[ImagePiece] = ()) -> Iterator[Event]:
        """Say something, and take the answer's events; the last one is Finished."""
        self.ahead.stop()
        self.pictures |= {image.key: image for image in images}
        content: Any = text
        if images:
            parts = [{"type": "image", "image": image.key} for image in images]
            content = [*parts, {"type": "text", "text": text}]
        self.messages.append({"role": "user", "content": content})
        self._tries = 0
        yield from self._turn()

    def retry(self) -> Iterator[Event]:
        """Have the last message answered again, with other draws."""
        self.ahead.stop()
        last = self._last_question()
        del self.messages[last + 1 :]
        self._tries += 1
        yield from self._turn()

    def undo(self) -> str:
        """Take back the last message and its answer; gives the message's text."""
        self.ahead.stop()
        last = self._last_question()
        content = self.messages[last]["content"]
        del self.messages[last:]
        self.window = min(self.window, self._turn_starts(0)[-1:][0] if self.messages else 0)
        return content if isinstance(content, str) else str(content[-1]["text"])

    def edit(self, text: str) -> Iterator[Event]:
        """Say something else in place of the last message."""
        self.undo()
        yield from self.say(text)

    def tell(self, results: Sequence[str]) -> Iterator[Event]:
        """Give the results of the tools that were called, and take the answer."""
        self.ahead.stop()
        self.messages += [{"role": "tool", "content": result} for result in results]
        yield from self._turn()

    def clear(self) -> None:
        """Begin anew; the system prompt stays."""
        self.ahead.stop()
        self.messages.clear()
        self.window = 0

    def stop(self) -> None:
        """Stop what is being read or written; for signal handlers and other threads."""
        self.engine.stop()

    def close(self) -> None:
        """End reading ahead; the engine stays the caller's to close."""
        self.ahead.stop()

    def sampling(self) -> Sampling:
        """Give the sampling values that hold now."""
        pictures = any(not isinstance(message["content"], str) for message in self.messages)
        values = values_for(
            self.speaker.model,
            self.speaker.metadata,
            thinking=self.manner.thinking,
            mode=self.manner.mode,
            pictures=pictures,
        )
        return replace(values, **dict(self.manner.overrides))  # type: ignore[arg-type]  # by name

    # How a turn goes

    def _turn(self) -> Iterator[Event]:
        started = time.perf_counter()
        self.engine.go_on()
        try:
            prompt, dropped = self._fitting()
        except RunError:
            del self.messages[self._last_question() :]
            raise
        if dropped:
            yield Notice(f"The window is full: the {dropped} oldest messages are out of it now.")
        reply = Reply(self.reader, self._sampler(), self.manner.limits)
        calls = ToolReader(self.manner.tools) if self.manner.tools else None
        meter = _Meter(started=started, total=prompt.n_tokens)
        yield from self._work(prompt, reply, calls, meter)
        self.last = turn = self._finish(reply, calls, meter)
        if turn.finish == "loop":
            yield Notice("The model repeats itself, so it was stopped.")
        self.engine.go_on()
        if self.manner.read_ahead and self.messages:
            self.ahead.start(self._next_pieces)
        yield Finished(turn)

    def _work(
        self, prompt: Prompt, reply: Reply, calls: ToolReader | None, meter: _Meter
    ) -> Iterator[Event]:
        """Read the prompt and write the answer, until something ends it."""
        try:
            for read in self.reader.bring(prompt):
                meter.take(read)
                yield Reading(read, prompt.n_tokens)
        except StoppedError:
            reply.finish = "interrupted"
            return
        for event in reply.write(thinking=prompt.thinking):
            if not (calls and isinstance(event, Answer)):
                yield event
            elif text := calls.feed(event.text):
                yield Answer(text)
        if calls and (text := calls.finish()):
            yield Answer(text)

    def _finish(self, reply: Reply, reader: ToolReader | None, meter: _Meter) -> Turn:
        """Keep the answer among the messages, and sum it up."""
        thought, text = reply.texts[True].strip(), reply.texts[False].rstrip()
        calls = tuple(reader.calls) if reader else ()
        if calls:
            text = text.partition(CALL)[0].rstrip()
        if text or calls or thought:
            message = {"role": "assistant", "content": text}
            message |= {"reasoning_content": thought} if thought else {}
            self.messages.append(message | ({"tool_calls": for_template(calls)} if calls else {}))
        elif reply.finish == "interrupted":
            del self.messages[self._last_question() :]
        count = len(reply.tokens)
        seconds = (reply.last_at or 0) - (reply.first_at or 0)
        return Turn(
            reply=text,
            thinking=thought,
            tool_calls=calls,
            finish="tool_calls" if calls and reply.finish == "stop" else reply.finish,
            prompt_tokens=meter.total,
            cached_tokens=meter.cached or 0,
            completion_tokens=count,
            first_token_seconds=reply.first_at - meter.started if reply.first_at else None,
            prompt_rate=meter.rate,
            decode_rate=(count - 1) / seconds if count > 1 and seconds else None,
        )

    def _sampler(self) -> Sampler:
        manner = self.manner
        seed = None if manner.seed is None else [manner.seed, len(self.messages), self._tries]
        return Sampler(self.sampling(), seed, manner.mask() if manner.mask else None)

    # Prompts and the window

    def _prompt(self, extra: Sequence[Mapping[str, Any]] = ()) -> Prompt:
        system = [{"role": "system", "content": self.system}] if self.system else []
        seen = [*system, *self.messages[self.window :], *extra]
        keys = [
            part["image"]
            for message in seen
            if not isinstance(message["content"], str)
            for part in message["content"]
            if part["type"] == "image"
        ]
        return self.scribe.prompt(
            seen,
            thinking=self.manner.thinking,
            tools=self.manner.tools,
            pictures=[self.pictures[key] for key in keys],
        )

    def _fitting(self) -> tuple[Prompt, int]:
        """Make the prompt; where it outgrows the window, the oldest turns go till half is free."""
        whole = self.engine.n_ctx
        reserve = min(self.manner.limits.max_tokens or _RESERVE, _RESERVE, whole // 4)
        prompt, before = self._prompt(), self.window
        starts = self._turn_starts(self.window)[1:]
        limit = whole - reserve
        while prompt.n_tokens > limit and starts:
            limit = whole // 2
            self.window = starts.pop(0)
            prompt = self._prompt()
        if prompt.n_tokens > whole - reserve:
            raise RunError(
                f"This takes {prompt.n_tokens:,} tokens, and the window has {whole:,}, of which "
                f"{reserve:,} are for the answer.",
                hint=f"Say it in parts, or start with a longer one: --context {2 * whole}",
            )
        return prompt, self.window - before

    def _next_pieces(self) -> Sequence[Piece]:
        """Give what the next prompt begins with, whatever will be said."""
        one, other = (self._prompt([{"role": "user", "content": text}]) for text in ("a", "b"))
        return one.pieces[: agreeing(one.pieces, other.pieces)]

    def _turn_starts(self, begin: int) -> list[int]:
        return [
            index
            for index, message in enumerate(self.messages)
            if index >= begin and message["role"] == "user"
        ]

    def _last_question(self) -> int:
        starts = self._turn_starts(0)
        if not starts:
            raise UsageError("Nothing was said yet.")
        return starts[-1]
