"""Markdown that is still being written, turned into lines block by block.

The second file that imports rich, beside render.py: that one prints pages that are known
whole, this one needs rich's markdown a block at a time, as lines with their widths. A
block (a list's item, a line of code) is finished when the next has begun.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from markdown_it import MarkdownIt
from rich.cells import cell_len
from rich.markdown import Heading, Markdown, MarkdownElement
from rich.syntax import Syntax
from rich.text import Text

from qwenpick.printable import UNSAFE

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

_CODE_BEFORE = 20
"""Lines of code that are looked at to colour the next."""
_FENCE = re.compile(r"(`{3,}|~{3,})[ \t]*([^\s`]*)[^`\n]*$")
_STYLE = re.compile(r"\x1b\[[0-9;]*m")
_BLANK_END = re.compile(r" +((?:\x1b\[[0-9;]*m)*)$")


class Line(NamedTuple):
    """A line that is ready to be written, and the columns that it takes."""

    text: str
    width: int


class _PlainHeading(Heading):
    """A heading at the left, bold, without a box."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        self.text.justify = "left"
        self.text.stylize("bold")
        yield self.text


class _Markdown(Markdown):
    elements: ClassVar[dict[str, type[MarkdownElement]]] = {
        **Markdown.elements,
        "heading_open": _PlainHeading,
    }


class Blocks:
    """Turns markdown that is still being written into lines.

    Args:
        console: What the lines are for; asked for its width each time.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._parser = MarkdownIt().enable("table")
        self._open = ""
        self._fence: tuple[str, str] | None = None
        self._code: list[str] = []
        self._begun = False
        self._in_list = False

    def feed(self, text: str) -> list[Line]:
        """Take a piece of text, and give the lines that it finishes."""
        self._open += text.translate(UNSAFE)
        if "\n" not in text:
            return []
        whole, _, rest = self._open.rpartition("\n")
        finished: list[Line] = []
        self._open = ""
        for line in whole.split("\n"):
            finished += self._take_line(line)
        finished += self._take_blocks()
        self._open += rest
        return finished

    def finish(self) -> list[Line]:
        """Give the rest: what was open is finished now."""
        finished = self.live()
        self._open, self._fence, self._begun = "", None, False
        return finished

    def live(self) -> list[Line]:
        """Give the lines of what is still open."""
        if self._fence:
            return self._lines(Text(self._open)) if self._open else []
        return self._block(self._open, note=False)

    def _take_line(self, line: str) -> list[Line]:
        """Take a whole line; only fences of code need to be looked at line by line."""
        if self._fence:
            mark, language = self._fence
            if line.strip().startswith(mark) and not line.strip(f" {mark[0]}"):
                self._fence = None
                return []
            return self._code_line(line, language)
        match = _FENCE.match(line)
        if match is None:
            self._open += line + "\n"
            return []
        before = self._block(self._open)
        self._open = ""
        self._fence, self._code = (match[1], match[2]), []
        gap = [Line("", 0)] if self._begun else []
        self._begun, self._in_list = True, False
        return before + gap

    def _code_line(self, line: str, language: str) -> list[Line]:
        self._code = [*self._code[-_CODE_BEFORE:], line]
        syntax = Syntax("", language or "text", theme="ansi_dark", tab_size=4)
        coloured = syntax.highlight("\n".join(self._code)).split("\n", allow_blank=True)
        return self._lines(coloured[len(self._code) - 1]) or [Line("", 0)]

    def _take_blocks(self) -> list[Line]:
        """Finish all blocks but the last, and of a list all items but the last."""
        starts: list[int] = []
        for token in self._parser.parse(self._open):
            item = token.level == 1 and token.type == "list_item_open"
            if token.map and token.nesting >= 0 and (token.level == 0 or item):
                starts.append(token.map[0])
        cuts = sorted(set(starts))
        source = self._open.split("\n")
        finished: list[Line] = []
        for begin, end in pairwise(cuts):
            finished += self._block("\n".join(source[begin:end]))
        if cuts:
            self._open = "\n".join(source[cuts[-1] :])
        return finished

    def _block(self, source: str, *, note: bool = True) -> list[Line]:
        """Render one block, with an empty line before it unless it goes on with a list."""
        if not source.strip():
            return []
        item = re.match(r" {0,3}([-*+]|\d{1,9}[.)])[ \t]", source) is not None
        gap = [Line("", 0)] if self._begun and not (item and self._in_list) else []
        if note:
            self._begun, self._in_list = True, item
        return gap + self._lines(_Markdown(source.rstrip("\n"), hyperlinks=False))

    def _lines(self, what: RenderableType) -> list[Line]:
        """Render to lines without blanks at their ends, and without empty ones around."""
        lines = _rendered(self._console, what)
        while lines and not lines[0].width:
            del lines[0]
        while lines and not lines[-1].width:
            del lines[-1]
        return lines


def _rendered(console: Console, what: RenderableType) -> list[Line]:
    """Render to lines with their widths, as the console would print them now."""
    with console.capture() as captured:
        console.print(what)
    lines = []
    for text in captured.get().removesuffix("\n").split("\n"):
        kept = _BLANK_END.sub(r"\1", text)
        lines.append(Line(kept, cell_len(_STYLE.sub("", kept))))
    return lines


def dim(console: Console, text: str) -> list[Line]:
    """Give the lines of a text that is no part of the answer."""
    return _rendered(console, Text(text, style="dim", overflow="fold"))
