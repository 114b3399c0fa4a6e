"""A part of the terminal that is drawn again and again, below what is finished.

Finished lines are written once and never touched: they may have scrolled away. Only the
live lines below them are drawn again, from the first that has changed, in one write, so
nothing flickers. It knows about rows and escape codes, and nothing about what they say.
"""

from __future__ import annotations

import os
from typing import IO, TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

_CLEAR_ROW = "\x1b[K"
_CLEAR_BELOW = "\x1b[J"
_HIDE_CURSOR, _SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"
# Terminals that know it hold the picture back until the end; the others ignore it
# (https://gist.github.com/christianparpart/d8a62cc1ab659194337d73e399004036).
_BEGIN, _END = "\x1b[?2026h", "\x1b[?2026l"


class Line(NamedTuple):
    """A line that is ready to be written, and the columns that it takes."""

    text: str
    width: int


class Screen:
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
        """Keep what is live as it stands, and give the cursor back."""
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
