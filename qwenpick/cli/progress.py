"""How a pull and a load go, on stderr: a line that moves on a terminal, a few lines elsewhere."""

from __future__ import annotations

import sys
import time

from qwenpick import units
from qwenpick.cli.output import say

_BAR = 22
_SHOW_EVERY = 0.2
_SAY_EVERY = 15.0
_RATE_OVER = 5.0
"""Seconds that the rate is taken over, at the least."""
_MINUTE = 60
_HOUR = 3600


class Progress:
    """Shows bytes, rate and time left of one file after another: a `plan.Watcher`."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._name = ""
        self._shown = 0.0
        self._marks: list[tuple[float, int]] = []
        self._open = False

    def say(self, line: str) -> None:
        """Write a line of talk, below the bar."""
        self.end()
        say(line)

    def moved(self, name: str, done: int, total: int) -> None:
        """Take how many bytes of a file are here, and show it from time to time."""
        now = time.monotonic()
        if name != self._name:
            self.end()
            self._name, self._marks, self._shown = name, [], now
        self._marks.append((now, done))
        while len(self._marks) > 2 and now - self._marks[1][0] > _RATE_OVER:  # noqa: PLR2004 - two make a rate
            self._marks.pop(0)
        every = _SHOW_EVERY if self._terminal else _SAY_EVERY
        if now - self._shown >= every or (self._terminal and done == total):
            self._shown = now
            self._show(done, total)

    def end(self) -> None:
        """Leave the bar's line."""
        if self._open:
            sys.stderr.write("\n")
            sys.stderr.flush()
            self._open = False

    def _show(self, done: int, total: int) -> None:
        name = self._name.rsplit("/", 1)[-1]
        (then, before), (now, here) = self._marks[0], self._marks[-1]
        figures = f"{units.download(done)} of {units.download(total)}"
        if now > then and here > before:
            rate = (here - before) / (now - then)
            figures += f"  {units.download(int(rate))}/s  {_left((total - done) / rate)} left"
        if not self._terminal:
            say(f"{name}  {figures}")
            return
        filled = _BAR * done // max(total, 1)
        sys.stderr.write(f"\r{name}  {'#' * filled}{'-' * (_BAR - filled)}  {figures}\x1b[K")
        sys.stderr.flush()
        self._open = True


class Loading:
    """Shows how far a model is loaded, on a terminal, and leaves nothing there."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._terminal = sys.stderr.isatty()
        self._shown = time.monotonic()
        self._open = False

    def moved(self, part: float) -> None:
        """Take which part is loaded, 0 to 1; what is quick is not shown at all."""
        now = time.monotonic()
        if self._terminal and now - self._shown >= _SHOW_EVERY:
            self._shown, self._open = now, True
            sys.stderr.write(f"\rloading {self._label}, {part:.0%}\x1b[K")
            sys.stderr.flush()

    def end(self) -> None:
        """Wipe the line."""
        if self._open:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def _left(seconds: float) -> str:
    whole = round(seconds)
    if whole >= _HOUR:
        return f"{whole // _HOUR}:{whole % _HOUR // _MINUTE:02}:{whole % _MINUTE:02}"
    return f"{whole // _MINUTE}:{whole % _MINUTE:02}"
