"""A terminal to look at: a shell on a pseudo-terminal, its screen kept by pyte."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pexpect
import pyte

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

COMMAND = f"{sys.executable} -m qwenpick"
PATIENCE = 90.0  # seconds: busy cores
PROMPT = re.compile(r"^>$\s*^.*  thinking (on|off)\b.*\s*\Z", re.MULTILINE)
"""An empty prompt, and its toolbar below it, at the end of the screen."""
KEYS = {"Enter": "\r", "Tab": "\t", "C-c": "\x03", "C-d": "\x04", "C-j": "\n", "C-t": "\x14",
        "C-u": "\x15"}  # fmt: skip


class _Screen(pyte.HistoryScreen):
    """A screen that answers a program's questions, as a terminal does."""

    answer: Callable[[str], Any]

    def write_process_input(self, data: str) -> None:
        self.answer(data)


class Terminal:
    """One shell on one terminal."""

    def __init__(self, folder: Path, *, columns: int = 80, rows: int = 30) -> None:
        self.folder = folder
        own = {
            name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES"}
        }
        self._shell = pexpect.spawn(
            "sh", cwd=str(folder), dimensions=(rows, columns), timeout=PATIENCE,
            env=own | {"PS1": "ready:", "TERM": "xterm-256color"},
        )  # fmt: skip
        self._shell.delaybeforesend = None
        self._screen = _Screen(columns, rows, history=5000, ratio=1e-9)
        self._screen.answer = self._shell.send
        self._stream = pyte.ByteStream(self._screen)
        self.wait("ready:")

    def type(self, text: str, *keys: str) -> None:
        """Type text, then keys by their names."""
        self._shell.send(text + "".join(KEYS[key] for key in keys))

    def paste(self, text: str) -> None:
        """Paste as a terminal does, in brackets."""
        self._shell.send(f"\x1b[200~{text}\x1b[201~")

    def resize(self, columns: int, rows: int) -> None:
        self._screen.resize(rows, columns)
        self._shell.setwinsize(rows, columns)

    def screen(self) -> str:
        """What can be seen, and what has scrolled away above it."""
        try:
            while True:
                self._stream.feed(self._shell.read_nonblocking(65536, timeout=0.02))
        except (pexpect.TIMEOUT, pexpect.EOF):
            pass
        above = ["".join(row[at].data for at in range(self._screen.columns)).rstrip()
                 for row in self._screen.history.top]  # fmt: skip
        return "\n".join([*above, *(line.rstrip() for line in self._screen.display)])

    def wait(self, text: str, *, times: int = 1, after: str = "") -> str:
        """Wait until *text* is seen so many times, below the first *after*; gives the screen."""
        return self._until(lambda seen: seen.count(text) >= times, repr(text), after)

    def prompt(self, *, after: str = "") -> str:
        """Wait until the chat asks for the next message; gives the screen below *after*."""
        return self._until(lambda seen: PROMPT.search(seen) is not None, "The prompt", after)

    def _until(self, enough: Callable[[str], bool], what: str, after: str) -> str:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            seen = self.screen()
            seen = seen.partition(after)[2] if after else seen
            if enough(seen):
                return seen
            time.sleep(0.05)
        raise AssertionError(f"{what} did not come:\n{self.screen()}")

    def process(self) -> int:
        """The chat's process."""
        found = subprocess.run(
            ["pgrep", "-P", str(self._shell.pid)], capture_output=True, text=True, check=True
        )
        return int(found.stdout.split()[0])

    def close(self) -> None:
        self._shell.close(force=True)
