"""One answer, token by token: text out of bytes, thinking out of text, and when to end."""

from __future__ import annotations

import codecs
import time
from collections import deque
from typing import TYPE_CHECKING

from qwenpick.chat.events import Answer, Reading, Thinking, Turn
from qwenpick.engine.engine import StoppedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qwenpick.chat.events import FinishReason
    from qwenpick.chat.generation_config import GenerationConfig
    from qwenpick.chat.messages import ToolCall
    from qwenpick.chat.prefix_cache import PrefixCache
    from qwenpick.engine.chunks import Prompt
    from qwenpick.engine.engine import Stop
    from qwenpick.engine.sampling import Sampler

OPEN, CLOSE = "<think>", "</think>"
_PERIODS = 256
_LOOP_TOKENS, _LOOP_TIMES = 96, 4
"""A loop: the last 96 tokens, and at least four times the same ones, of a period up to 256."""


class RepetitionDetector:
    """Notices that the last tokens repeat those before, with any period up to 256."""

    def __init__(self) -> None:
        self._last: deque[int] = deque(maxlen=_PERIODS)  # the newest first
        self._runs: dict[int, int] = {}
        """For each period, how many tokens in a row were the same as those one period before."""

    def closes(self, token: int) -> bool:
        """Take the next token; say whether it closes a loop."""
        before = self._runs
        self._runs = {
            period: before.get(period, 0) + 1
            for period, last in enumerate(self._last, 1)
            if last == token
        }
        self._last.appendleft(token)
        return any(
            run >= max(_LOOP_TOKENS, (_LOOP_TIMES - 1) * period)
            for period, run in self._runs.items()
        )


class ReasoningParser:
    """Splits a stream of text into thinking and answer, and ends it at a stop text.

    What could be the beginning of a tag or of a stop text is held back until it is known.
    """

    def __init__(self, stop: tuple[str, ...], *, thinking: bool) -> None:
        self.thinking = thinking
        self.stopped = False
        self.tokens = 0
        """How many were fed: thinking comes first, so that all of them are its own."""
        self.texts = {True: "", False: ""}
        self._stop = stop
        self._held = ""

    def feed(self, text: str, *, last: bool = False) -> Iterator[Thinking | Answer]:
        """Take more text; with *last* nothing is held back any more."""
        self._held += "" if self.stopped else text
        while not self.stopped:
            found = min(
                ((at, tag) for tag in self._tags() if (at := self._held.find(tag)) >= 0),
                default=None,
            )
            if found is None:
                break
            at, tag = found
            yield from self._give(self._held[:at])
            self._held = self._held[at + len(tag) :]
            if tag in self._stop:
                self.stopped, self._held = True, ""
            else:
                self.thinking = tag == OPEN
        if self.stopped:
            return
        kept = 0 if last else self._open_end()
        cut = len(self._held) - kept
        ready, self._held = self._held[:cut], self._held[cut:]
        yield from self._give(ready)

    def _tags(self) -> tuple[str, ...]:
        """Give what would end the present part; only an answer's very start opens a thought."""
        if self.thinking:
            return (CLOSE,)
        fresh = not self.texts[False].strip() and not self.texts[True]
        return (OPEN, *self._stop) if fresh else self._stop

    def _open_end(self) -> int:
        """Count the characters at the end that a tag could begin with."""
        longest = 0
        for tag in self._tags():
            for length in range(min(len(tag) - 1, len(self._held)), longest, -1):
                if self._held.endswith(tag[:length]):
                    longest = length
                    break
        return longest

    def _give(self, text: str) -> Iterator[Thinking | Answer]:
        if not self.texts[self.thinking]:
            text = text.lstrip()
        if text:
            self.texts[self.thinking] += text
            yield Thinking(text, self.tokens) if self.thinking else Answer(text)


class Generation:
    """Reads one prompt and writes its answer, by the cache's engine.

    After `run` has ended, `turn` sums it up.
    """

    def __init__(
        self, cache: PrefixCache, sampler: Sampler, config: GenerationConfig, stop: Stop
    ) -> None:
        self._cache, self._sampler, self._config, self._stop = cache, sampler, config, stop
        self._engine = cache.engine
        self._bytes = codecs.getincrementaldecoder("utf-8")("replace")
        self._finish: FinishReason = "stop"
        self._n_tokens = self._prompt_tokens = self._read_tokens = 0
        self._cached: int | None = None
        self._read_at = self._last_at = 0.0
        """When the prompt's last chunk was read, and the last token drawn (time.perf_counter)."""
        self._first_at: float | None = None
        self._texts = {True: "", False: ""}
        """The thinking (True) and the answer (False) so far."""

    def run(self, prompt: Prompt) -> Iterator[Reading | Thinking | Answer]:
        """Read the prompt, and write until the model, a limit or the stop ends it."""
        self._prompt_tokens = prompt.n_tokens
        parser = ReasoningParser(self._config.stop, thinking=prompt.thinking)
        self._texts = parser.texts
        try:
            for read in self._cache.prefill(prompt, self._stop):
                self._cached = read if self._cached is None else self._cached
                self._read_tokens, self._read_at = read, time.perf_counter()
                yield Reading(read, prompt.n_tokens)
            yield from self._tokens(parser)
        except StoppedError:
            self._finish = "interrupted"
        yield from parser.feed(self._bytes.decode(b"", final=True), last=True)

    def turn(self, started: float, tool_calls: tuple[ToolCall, ...]) -> Turn:
        """Sum the turn up, which began at *started* (time.perf_counter)."""
        thought, text = self._texts[True].strip(), self._texts[False].rstrip()
        if tool_calls:
            text = text.partition("<tool_call>")[0].rstrip()
        cached, first, count = self._cached or 0, self._first_at, self._n_tokens
        read, seconds = self._read_tokens - cached, self._last_at - (first or 0)
        return Turn(
            reply=text,
            thinking=thought,
            tool_calls=tool_calls,
            finish="tool_calls" if tool_calls and self._finish == "stop" else self._finish,
            prompt_tokens=self._prompt_tokens,
            cached_tokens=cached,
            completion_tokens=count,
            first_token_seconds=first - started if first else None,
            prompt_rate=read / (self._read_at - started) if read else None,
            decode_rate=(count - 1) / seconds if count > 1 and seconds else None,
        )

    def _tokens(self, parser: ReasoningParser) -> Iterator[Thinking | Answer]:
        guard = self._config.guard and self._config.schema is None
        repetition, thought = RepetitionDetector(), 0
        while True:
            token = self._sampler.sample(masked=not parser.thinking)
            self._last_at = time.perf_counter()
            self._first_at = self._first_at or self._last_at
            if self._engine.is_eog(token):
                return
            self._n_tokens += 1
            parser.tokens += 1
            yield from parser.feed(self._bytes.decode(self._engine.text(token)))
            if parser.stopped:
                return
            if guard and repetition.closes(token):
                self._finish = "repetition"
                return
            if self._full():
                self._finish = "length"
                return
            thought += parser.thinking
            closing = parser.thinking and thought == self._config.think_budget
            for following in [token, *(self._closing() if closing else ())]:
                self._cache.write(following, self._stop)
            if closing:
                yield from parser.feed(CLOSE)

    def _full(self) -> bool:
        limit = self._config.max_tokens
        # one cell for this token, and some for a thought that has to be closed
        room = self._engine.n_ctx - self._cache.n_tokens - 8
        return room <= 0 or (limit is not None and self._n_tokens >= limit)

    def _closing(self) -> list[int]:
        """Give the tokens that end a thought whose budget is used up."""
        return self._engine.tokens(f"\n{CLOSE}\n\n")
