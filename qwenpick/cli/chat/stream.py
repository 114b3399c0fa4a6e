"""An answer on the terminal while it is written.

Finished lines (`blocks.py`) are written once and never touched: they may have scrolled away. Only
the live lines below them are drawn again, from the first that has changed, in one write, so
nothing flickers; and only so often that drawing takes a few hundredths of the time.
"""

from __future__ import annotations

import os
import time
from typing import IO, TYPE_CHECKING

from qwenpick.chat.events import Answer, Event, Notice, Reading, Thinking, Turn
from qwenpick.cli.chat.blocks import Blocks, Line, dim
from qwenpick.printable import UNSAFE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.console import Console

_SHARE = 0.03
"""Part of the time that drawing may take."""
_LONGEST_WAIT = 0.25
"""Seconds: one slow draw, on a busy machine, must not hold back what follows."""
_CLEAR_ROW, _CLEAR_BELOW = "\x1b[K", "\x1b[J"
_HIDE_CURSOR, _SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"
# Terminals that know it show nothing until the end; the others ignore it
# (https://gist.github.com/christianparpart/d8a62cc1ab659194337d73e399004036).
_BEGIN, _END = "\x1b[?2026h", "\x1b[?2026l"


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
        self._screen = _Screen(console.file)
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
            self._thinking += event.text.translate(UNSAFE)
            self._status = f"thinking, {self._thoughts:,} tokens"
            if self._shows_thinking and "\n" in self._thinking:
                whole, _, self._thinking = self._thinking.rpartition("\n")
                return dim(self._console, whole)
        elif isinstance(event, Answer):
            finished = self._thought()
            if finished or self._status:
                self._next_draw, self._status = 0.0, ""
            return finished + self._blocks.feed(event.text)
        elif isinstance(event, Notice):
            return [*self._thought(), *self._blocks.finish(), *dim(self._console, event.text)]
        else:
            self._status = ""
            return [*self._thought(), *self._blocks.finish(), *self._ending(event.turn)]
        return []

    def _thought(self) -> list[Line]:
        """Close the thinking: its last words, or its length."""
        count, self._thoughts = self._thoughts, 0
        rest, self._thinking = self._thinking.strip("\n"), ""
        if not count:
            return []
        return dim(self._console, rest if self._shows_thinking else f"thinking, {count:,} tokens")

    def _ending(self, turn: Turn) -> list[Line]:
        """Say why an answer ended, where it is not complete."""
        lines = [str(call) for call in turn.tool_calls]
        if turn.finish == "length":
            lines.append("cut off: token limit reached (/set max-tokens N)")
        elif turn.finish == "interrupted":
            lines.append("stopped")
        return dim(self._console, "\n".join(lines)) if lines else []

    def _live(self) -> list[Line]:
        if self._shows_thinking and self._thinking:
            return dim(self._console, self._thinking)
        return dim(self._console, self._status) if self._status else self._blocks.live()


class _Screen:
    """Finished lines above, live lines below, the cursor under them.

    Args:
        stream: A terminal.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._live: list[Line] = []

    def draw(self, finished: Sequence[Line], live: Sequence[Line] = ()) -> None:
        """Write *finished* for good, and *live* below it; of too many live lines the last."""
        columns, rows = _size(self._stream)
        room = max(rows - 1, 1)
        while live and _rows(live, columns) > room:
            live = live[1:]
        lines = [*finished, *live]
        same = 0
        for old, new in zip(self._live, lines, strict=False):
            if old != new:
                break
            same += 1
        up = _rows(self._live[same:], columns)
        self._live = lines[len(finished) :]
        fresh = "".join(_written(line, columns) for line in lines[same:])
        if up or fresh:
            back = f"\x1b[{up}A\r" if up else "\r"
            below = _CLEAR_BELOW if up else ""
            self._stream.write(_BEGIN + _HIDE_CURSOR + back + fresh + below + _END)
            self._stream.flush()

    def close(self) -> None:
        """Keep what is live, and give the cursor back."""
        self._live = []
        self._stream.write(_SHOW_CURSOR)
        self._stream.flush()


def _size(stream: IO[str]) -> tuple[int, int]:
    """Give the columns and rows of a terminal; a serial line says 0, and then means the usual.

    Not shutil's: it believes COLUMNS, and a wrong width leaves old lines standing.
    """
    columns, rows = os.get_terminal_size(stream.fileno())
    return columns or 80, rows or 24


def _written(line: Line, columns: int) -> str:
    """Write over what stood there, and clear the rest of the row.

    A line that fills its last row is not followed by a clear: the cursor then waits on the
    last column, and would wipe it out.
    """
    full = line.width and line.width % columns == 0
    return line.text + ("" if full else _CLEAR_ROW) + "\n"


def _rows(lines: Sequence[Line], columns: int) -> int:
    """Count the rows that lines take on a terminal of so many columns."""
    return sum(max(1, -(-line.width // columns)) for line in lines)
