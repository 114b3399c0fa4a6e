"""How things look on a terminal: the console, lines, tables, bars. The rich file.

80 columns, readable without colour; NO_COLOR is rich's own business.
"""

from __future__ import annotations

import sys
import textwrap
from typing import TYPE_CHECKING

from rich.console import Console
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from qwenpick.printable import UNSAFE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PAGE = 80


class _Console(Console):
    """A console that leaves a closed pipe to `main`; rich's own ends with 1."""

    def _render_buffer(self, buffer: Iterable[Segment]) -> str:
        """Make what rich writes of styled text: the styles are ours, the text may not be."""
        safe = (
            one if one.control else Segment(one.text.translate(UNSAFE), one.style) for one in buffer
        )
        return super()._render_buffer(safe)

    def on_broken_pipe(self) -> None:
        raise  # noqa: PLE0704 - rich calls this while it handles the BrokenPipeError


def console(*, stderr: bool = False) -> Console:
    """Give a console on stdout, or stderr: as wide as the terminal, 80 columns where none is."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else PAGE
    return _Console(file=stream, highlight=False, soft_wrap=False, width=width, markup=False)


def pairs(out: Console, rows: Iterable[tuple[str, str]], *, indent: int = 2) -> None:
    """Write a word and what belongs to it, a line each, wrapped under themselves."""
    rows = list(rows)
    column = indent + max((len(word) for word, _ in rows), default=0) + 2
    for word, text in rows:
        lines = textwrap.wrap(text, max(out.width - column, PAGE // 4)) or [""]
        for number, line in enumerate(lines):
            label = Text(" " * indent + ("" if number else word), style="bold")
            label.pad_right(column - len(label))
            out.print(Text.assemble(label, line), soft_wrap=True)


def columns(out: Console, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a plain table: a dim head, columns two spaces apart, numbers as they come."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    for word in head:
        table.add_column(word, overflow="fold")
    for row in rows:
        table.add_row(*[Text(cell) for cell in row])
    out.print(table)


def bar(parts: Sequence[tuple[str, int]], whole: int, width: int) -> str:
    """Draw a stacked bar: each part's character, in proportion to *whole*.

    Rounded on the running sum, so that the bar is as long as its total.
    """
    drawn, reached = "", 0
    for character, size in parts:
        reached += size
        drawn += character * (round(width * min(reached / whole, 1.0)) - len(drawn))
    return drawn
