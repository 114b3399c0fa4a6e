"""How a person at a terminal is told and asked: lines and a progress bar on stderr.

A bar is rich's, imported only where bytes have moved for a while; where stderr is no terminal, a
line every 15 seconds takes its place. Bars leave nothing behind.
"""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING, Self

from qwenpick import units
from qwenpick.cli.output import message, status
from qwenpick.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.progress import Progress, Task, TaskID

_BAR = 22
"""Columns of the bar."""
_NARROW = 70
"""Columns below which a terminal shows the figures alone."""
_SHOWN_AFTER = 0.2
"""Seconds below which nothing is shown on a terminal."""
_LINE_EVERY = 15.0
_RATE_OVER = 5.0
"""Seconds that a rate is taken over."""
_SILENT_AFTER = 3.0
"""Seconds without a byte after which the last rate is no longer true."""


class TerminalUi:
    """An `app.ui.Ui` on stdin and stderr; a context manager, since a bar has to be ended.

    Args:
        yes: Whether `--yes` answers every question.
    """

    def __init__(self, *, yes: bool = False) -> None:
        self._yes = yes
        self._terminal = sys.stderr.isatty()
        self._lock = threading.RLock()
        self._name = ""
        self._done, self._total, self._moved, self._shown = 0, 0, 0.0, 0.0
        self._timer: threading.Timer | None = None
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        """Give itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the bar, whatever happened."""
        self._end()

    def status(self, line: str) -> None:
        """Write a line, the bar out of its way."""
        self._end()
        status(line)

    def confirm(self, question: str, *, default: bool = True) -> bool:
        """Ask on the terminal; `--yes` answers it, Enter the default, and an end of input is a no.

        Raises:
            UsageError: There is no terminal to ask on.
        """
        self._end()
        if self._yes:
            return True
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise UsageError(f"{question} There is no terminal to ask on.", hint="Add --yes.")
        message(f"{question} [{'Y/n' if default else 'y/N'}] ")
        line = sys.stdin.readline()
        answer = line.strip().casefold()
        return answer in {"y", "yes"} or (bool(line) and not answer and default)

    def progress(self, name: str, done: int, total: int) -> None:
        """Show how far a file is: a bar on a terminal, a line now and then elsewhere."""
        with self._lock:
            now = time.monotonic()
            name = name.rsplit("/", 1)[-1]
            if name != self._name:
                self._end()
                self._name, self._shown = name, now
            self._done, self._total, self._moved = done, total, now
            if done >= total:
                self._end()
            elif self._bar and self._task is not None:
                self._bar.update(self._task, completed=done)
            elif self._terminal and not self._timer:
                self._timer = threading.Timer(_SHOWN_AFTER, self._begin)
                self._timer.daemon = True
                self._timer.start()
            elif not self._terminal and now - self._shown >= _LINE_EVERY:
                self._shown = now
                status(f"{self._name}  {units.download(done)} of {units.download(total)}")

    def _begin(self) -> None:
        """Show the bar; its own thread draws it, so that silence is seen, too."""
        with self._lock:
            if self._timer:
                self._bar = _bar(self._figures)
                self._task = self._bar.add_task(self._name, completed=self._done, total=self._total)
                self._bar.start()

    def _end(self) -> None:
        with self._lock:
            timer, bar = self._timer, self._bar
            self._timer = self._bar = None
            self._name = ""
        if timer:
            timer.cancel()
        if bar:
            bar.stop()

    def _figures(self, task: Task) -> str:
        """Say how much is done, at which rate, and how long the rest takes."""
        figures = f"{units.download(int(task.completed))} of {units.download(self._total)}"
        silent = time.monotonic() - self._moved
        if silent >= _SILENT_AFTER:
            return f"{figures}  no byte for {silent:.0f} s"
        if task.speed and task.time_remaining is not None:
            minutes, seconds = divmod(int(task.time_remaining), 60)
            figures += f"  {units.download(int(task.speed))}/s  {minutes}:{seconds:02} left"
        return figures


def _bar(figures: Callable[[Task], str]) -> Progress:
    """Make a progress bar of name, bar and figures."""
    from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn
    from rich.table import Column
    from rich.text import Text

    from qwenpick.cli.render import console

    class Figures(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(figures(task))

    err = console(stderr=True)
    line = Column(no_wrap=True)
    name = TextColumn("{task.description}", markup=False, table_column=line)
    return Progress(
        *((name, BarColumn(_BAR)) if err.width >= _NARROW else ()),
        Figures(table_column=line),
        console=err,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
        speed_estimate_period=_RATE_OVER,
    )
