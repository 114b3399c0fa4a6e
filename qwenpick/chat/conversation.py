"""A conversation: takes what a person says, yields events, prints nothing.

How a turn goes: the messages become a prompt (`transcript.py`), the reader (`checkpoints.py`)
brings the engine to it, reading only what is new; the answer is written (`reply.py`); and a worker
reads it in the form that the next prompt will have (`ahead.py`). A turn that fails, or is
interrupted before a word of it came, leaves everything as it was.

What the model wrote is never itself a part of the next prompt: the template drops its thinking,
and the rest is read as the template has it. So a turn's prompt depends on the messages alone.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from qwenpick.chat.events import Answer, Event, Finished, Notice, Reading, Turn
from qwenpick.chat.generation import Generation
from qwenpick.chat.generation_config import ModelInfo, PrefillTimer, TurnSettings
from qwenpick.chat.messages import pictures_of, text_of, with_pictures
from qwenpick.chat.prefill_ahead import PrefillAhead
from qwenpick.chat.prefix_cache import PrefixCache
from qwenpick.chat.tools import ToolReader, for_template
from qwenpick.chat.transcript import Transcript, questions
from qwenpick.engine.engine import StoppedError
from qwenpick.engine.sampling import Sampler, values_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from qwenpick.catalog.model import Sampling
    from qwenpick.engine.chunks import ImageChunk, Prompt
    from qwenpick.engine.engine import Engine, Stop

CHECKPOINT_BYTES = 256 << 20
"""Room for checkpoints where nobody says otherwise: 12 of the 0.8B and 2B, 4 of the 4B and 9B."""
CALL = "<tool_call>"


class Conversation(Transcript):
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
        speaker: ModelInfo,
        manner: TurnSettings,
        *,
        budget: int = CHECKPOINT_BYTES,
        reuse: bool = True,
    ) -> None:
        super().__init__(engine, manner)
        self.speaker = speaker
        self.reader = PrefixCache(engine, budget, reuse=reuse)
        self.ahead = PrefillAhead(self.reader)
        self.last: Turn | None = None
        self._tries = 0
        self._stopped = False

    # What a person does

    def say(self, text: str, images: Sequence[ImageChunk] = ()) -> Iterator[Event]:
        """Say something, and take the answer's events; the last one is Finished."""
        self.pictures |= {image.key: image for image in images}
        content = with_pictures(text, [image.key for image in images])
        self._tries = 0
        yield from self._turn([*self.messages, {"role": "user", "content": content}])

    def retry(self) -> Iterator[Event]:
        """Have the last message answered again, with other draws."""
        messages = self.messages[: self._last_question() + 1]
        self._tries += 1
        yield from self._turn(messages)

    def undo(self) -> str:
        """Take back the last message and its answer; gives the message's text."""
        self.ahead.stop()
        last = self._last_question()
        text = text_of(self.messages[last])
        self.messages = self.messages[:last]
        self.window = min(self.window, *questions(self.messages)[-1:], len(self.messages))
        return text

    def edit(self, text: str, images: Sequence[ImageChunk] = ()) -> Iterator[Event]:
        """Say something else in place of the last message, about its pictures and more."""
        keys = pictures_of(self.messages[self._last_question()])
        before = [self.pictures[key] for key in keys if key in self.pictures]
        self.undo()
        yield from self.say(text, [*before, *images])

    def tell(self, results: Sequence[str]) -> Iterator[Event]:
        """Give the results of the tools that were called, and take the answer."""
        told = [{"role": "tool", "content": result} for result in results]
        yield from self._turn([*self.messages, *told])

    def clear(self) -> None:
        """Begin anew; the system prompt stays."""
        self.ahead.stop()
        self.messages = []
        self.window = 0

    def read_ahead(self) -> None:
        """Begin to read what the next prompt will begin with, where that is wanted."""
        if self.manner.read_ahead:
            self.ahead.start(self.next_prompt)

    def stop(self) -> None:
        """Stop what is being read or written; for signal handlers and other threads."""
        self._stopped = True
        self.engine.stop()

    def close(self) -> None:
        """End reading ahead; the engine stays the caller's to close."""
        self.ahead.stop()

    def sampling(self) -> Sampling:
        """Give the sampling values that hold now."""
        pictures = any(pictures_of(message) for message in self.messages)
        values = values_for(
            self.speaker.model,
            self.speaker.metadata,
            thinking=self.manner.thinking,
            mode=self.manner.mode,
            pictures=pictures,
        )
        return replace(values, **dict(self.manner.overrides))

    # How a turn goes

    def turn(self, attempt: int, stop: Stop | None) -> Iterator[Event]:
        """Answer the last message, until *stop* is set."""
        self._tries = attempt
        yield from self._turn(self.messages, stop)

    def _turn(self, messages: list[dict[str, Any]], stop: Stop | None = None) -> Iterator[Event]:
        """Answer the last of *messages*; where that fails all is as it was before."""
        meter = PrefillTimer(started=time.perf_counter())
        self._stopped = False
        self.ahead.stop()
        self.engine.go_on()
        if stop:
            stop.ends(self.stop)
        if self._stopped:  # asked for meanwhile
            self.engine.stop()
        before = self.messages, self.window
        self.messages = messages
        try:
            prompt, dropped = self.fitting_prompt()
            if dropped:
                yield Notice(self._told(dropped))
            meter.total = prompt.n_tokens
            reply = Generation(self.reader, self._sampler(), self.manner.limits)
            calls = ToolReader(self.manner.tools) if self.manner.tools else None
            yield from self._work(prompt, reply, calls, meter)
            turn = self._finish(reply, calls, meter)
        finally:
            if self.messages is messages:  # no answer came
                self.messages, self.window = before
        self.last = turn
        if turn.finish == "loop":
            yield Notice("The model repeats itself, so it was stopped.")
        self.engine.go_on()
        if self.messages:
            self.read_ahead()
        yield Finished(turn)

    def _told(self, dropped: int) -> str:
        text = f"The window is full: the {dropped} oldest messages are out of it now."
        return f"{text} A longer one fits: {self.longer}" if self.longer else text

    def _work(
        self, prompt: Prompt, reply: Generation, calls: ToolReader | None, meter: PrefillTimer
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

    def _finish(self, reply: Generation, reader: ToolReader | None, meter: PrefillTimer) -> Turn:
        """Keep the answer among the messages, and sum it up."""
        thought, text = reply.texts[True].strip(), reply.texts[False].rstrip()
        calls = tuple(reader.calls) if reader else ()
        if calls:
            text = text.partition(CALL)[0].rstrip()
        if text or calls or thought or reply.finish != "interrupted":
            message: dict[str, Any] = {"role": "assistant", "content": text}
            message |= {"reasoning_content": thought} if thought else {}
            message |= {"tool_calls": for_template(calls)} if calls else {}
            self.messages = [*self.messages, message]
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
        mask = manner.mask() if manner.mask else None
        return Sampler(self.reader.engine, self.sampling(), seed, mask)
