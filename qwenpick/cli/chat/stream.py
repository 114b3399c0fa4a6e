"""An answer on the terminal while it is written.

What is finished (`blocks.py`) is written once. What is still open is drawn again as it grows
(`screen.py`), at most so often that drawing takes a few hundredths of the time.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from qwenpick.chat.events import Answer, Event, Notice, Reading, Thinking, Turn
from qwenpick.cli.chat.blocks import CONTROLS, Blocks, dim
from qwenpick.cli.chat.screen import Line, Screen

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

_SHARE = 0.03
"""Part of the time that drawing may take."""
_LONGEST_WAIT = 0.25
"""Seconds: one slow draw, on a busy machine, must not hold back what follows."""


class AnswerStream:
    """Shows the events of one turn.

    Args:
        console: A terminal's.
        show_thinking: Whether thinking is written out; else it is one live line.
        clock: Seconds that only grow.
    """

    def __init__(
        self,
        console: Console,
        *,
        show_thinking: bool = False,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._console = console
        self._screen = Screen(console.file)
        self._blocks = Blocks(console)
        self._clock = clock
        self._shows_thinking = show_thinking
        self._thoughts = 0
        self._thinking = ""
        self._status = ""
        self._next_draw = 0.0
        self.drawing_seconds = 0.0
        """What taking and drawing the events has cost."""

    def take(self, event: Event) -> None:
        """Show an event: finished lines at once, what is open when it is time again."""
        started = self._clock()
        finished = self._taken(event)
        if finished or started >= self._next_draw:
            self._screen.draw(finished, self._live())
            wait = (self._clock() - started) / _SHARE
            self._next_draw = started + min(wait, _LONGEST_WAIT)
        self.drawing_seconds += self._clock() - started

    def toggle_thinking(self) -> None:
        """Write the thinking out from here on, or fold it."""
        self._shows_thinking = not self._shows_thinking

    def close(self) -> None:
        """Finish what is open, whatever became of the turn, and give the cursor back."""
        self._screen.draw([*self._thought(), *self._blocks.finish()])
        self._screen.close()

    def _taken(self, event: Event) -> list[Line]:
        """Take an event in, and give the lines that it finishes."""
        if isinstance(event, Reading):
            self._status = f"reading, {event.read:,} of {event.total:,} tokens"
        elif isinstance(event, Thinking):
            self._thoughts = event.tokens
            self._thinking += event.text.translate(CONTROLS)
            self._status = f"thinking, {self._thoughts:,} tokens"
            if self._shows_thinking and "\n" in self._thinking:
                whole, _, self._thinking = self._thinking.rpartition("\n")
                return self._dim(whole)
        elif isinstance(event, Answer):
            finished = self._thought()
            if finished or self._status:
                self._next_draw, self._status = 0.0, ""
            return finished + self._blocks.feed(event.text)
        elif isinstance(event, Notice):
            return [*self._thought(), *self._blocks.finish(), *self._dim(event.text)]
        else:
            self._status = ""
            return [*self._thought(), *self._blocks.finish(), *self._ending(event.turn)]
        return []

    def _thought(self) -> list[Line]:
        """Close the thinking: its last words, or how much it was."""
        count, self._thoughts = self._thoughts, 0
        rest, self._thinking = self._thinking.strip("\n"), ""
        if not count:
            return []
        return self._dim(rest if self._shows_thinking else f"thinking, {count:,} tokens")

    def _ending(self, turn: Turn) -> list[Line]:
        """Say why an answer ended, where it is not whole."""
        said = [
            f"calls {call['function']['name']} {call['function']['arguments']}"
            for call in turn.tool_calls
        ]
        if turn.finish == "length":
            said.append("cut off: no tokens left (/set max-tokens N)")
        elif turn.finish == "interrupted":
            said.append("stopped")
        return self._dim("\n".join(said)) if said else []

    def _live(self) -> list[Line]:
        if self._shows_thinking and self._thinking:
            return self._dim(self._thinking)
        return self._dim(self._status) if self._status else self._blocks.live()

    def _dim(self, text: str) -> list[Line]:
        return dim(self._console, text)
