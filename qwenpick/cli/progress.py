"""How a pull and a load go, on stderr: a line that moves on a terminal, a few lines elsewhere."""

from __future__ import annotations

import os
import sys
import threading
import time

from qwenpick import units
from qwenpick.cli.output import status

_BAR = 22
_COLUMNS = 80
"""Of a terminal that does not say how wide it is."""
_SHOW_EVERY = 0.2
_SAY_EVERY = 15.0
_RATE_OVER = 5.0
"""Seconds that the rate is taken over, at the least."""
_SILENT_AFTER = 3.0
"""Seconds without a byte after which the last rate is no longer true."""
_MINUTE = 60
_HOUR = 3600


class Progress:
    """Shows bytes, rate and time left of one file after another: a `plan.Progress`."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._name = ""
        self._total = 0
        self._shown = 0.0
        self._marks: list[tuple[float, int]] = []
        self._open = False
        self._awaited = False
        """More bytes of a file are to come."""
        self._lock = threading.RLock()
        self._clock: threading.Thread | None = None

    def status(self, line: str) -> None:
        """Write a line of talk, below the bar."""
        self.end()
        status(line)

    def progress(self, name: str, done: int, total: int) -> None:
        """Take how many bytes of a file are here, and show it from time to time."""
        now = time.monotonic()
        if name != self._name:
            self.end()
            self._name, self._total, self._marks, self._shown = name, total, [], now
        with self._lock:
            self._awaited = done < total
            self._marks.append((now, done))
            while len(self._marks) > 2 and now - self._marks[1][0] > _RATE_OVER:  # noqa: PLR2004 - two make a rate
                self._marks.pop(0)
        every = _SHOW_EVERY if self._terminal else _SAY_EVERY
        if now - self._shown >= every or (self._terminal and done == total):
            self._shown = now
            self._show(now)
        if self._terminal and self._awaited and not self._clock:
            self._clock = threading.Thread(target=self._tick, daemon=True)
            self._clock.start()

    def end(self) -> None:
        """Leave the bar's line."""
        with self._lock:
            self._awaited = False
            if self._open:
                sys.stderr.write("\n")
                sys.stderr.flush()
                self._open = False

    def _tick(self) -> None:
        """Show that a line is silent: nothing moves then that would show it."""
        while True:
            time.sleep(1)
            now = time.monotonic()
            with self._lock:
                if not self._awaited:
                    self._clock = None
                    return
                if now - self._marks[-1][0] >= _SILENT_AFTER:
                    self._show(now)

    def _show(self, now: float) -> None:
        with self._lock:
            name, figures = self._name.rsplit("/", 1)[-1], self._figures(now)
            if not self._terminal:
                status(f"{name}  {figures}")
                return
            line = _fitting(name, self._marks[-1][1] / max(self._total, 1), figures)
            sys.stderr.write(f"\r{line}\x1b[K")
            sys.stderr.flush()
            self._open = True

    def _figures(self, now: float) -> str:
        (then, before), (last, here) = self._marks[0], self._marks[-1]
        figures = f"{units.download(here)} of {units.download(self._total)}"
        if now - last >= _SILENT_AFTER:
            return f"{figures}  no byte for {now - last:.0f} s"
        if last > then and here > before:
            rate = (here - before) / (last - then)
            figures += f"  {units.download(int(rate))}/s  {_left((self._total - here) / rate)} left"
        return figures


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


def _fitting(name: str, part: float, figures: str) -> str:
    """Lay a bar out in the terminal's width; a line that wraps could not be written over."""
    columns = (os.get_terminal_size(sys.stderr.fileno()).columns or _COLUMNS) - 1
    bar = min(columns - len(name) - len(figures) - 4, _BAR)
    if bar >= _BAR // 4:
        filled = int(bar * part)
        return f"{name}  {'#' * filled}{'-' * (bar - filled)}  {figures}"
    named = f"{name}  {figures}"
    return named if len(named) <= columns else figures[:columns]


def _left(seconds: float) -> str:
    whole = round(seconds)
    if whole >= _HOUR:
        return f"{whole // _HOUR}:{whole % _HOUR // _MINUTE:02}:{whole % _MINUTE:02}"
    return f"{whole // _MINUTE}:{whole % _MINUTE:02}"
