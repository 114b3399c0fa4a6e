"""A real terminal to look at: tmux, with the installed command in it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

COMMAND = Path(sys.executable).with_name("qwenpick")
PATIENCE = 50.0  # seconds: two busy cores
PROMPT = re.compile(r"^>$\s*^.*  thinking (on|off)\b.*\s*\Z", re.MULTILINE)
"""An empty prompt, and its toolbar below it, at the end of the screen."""


class Terminal:
    """One tmux server with one pane."""

    def __init__(self, folder: Path, *, columns: int = 80, rows: int = 30) -> None:
        self._socket = str(folder / "tmux")
        self.folder = folder
        shell = "env -u COLUMNS -u LINES PS1=ready: sh"
        keep = [f"{name}={os.environ[name]}" for name in ("QWENPICK_HOME", "HF_HOME")]
        self._tmux("-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", str(rows),
                   "-c", str(folder), "env", *keep, *shell.split())  # fmt: skip
        self._tmux("set-option", "-g", "history-limit", "5000")
        self.wait("ready:")

    def _tmux(self, *arguments: str, given: str | None = None) -> str:
        done = subprocess.run(
            ["tmux", "-S", self._socket, *arguments],
            input=given, capture_output=True, text=True, check=True, timeout=20,
        )  # fmt: skip
        return done.stdout

    def type(self, text: str, *keys: str) -> None:
        """Type text, then keys by tmux's names."""
        if text:
            self._tmux("send-keys", "-l", text)
        if keys:
            self._tmux("send-keys", *keys)

    def paste(self, text: str) -> None:
        """Paste as a terminal does, in brackets."""
        self._tmux("load-buffer", "-", given=text)
        self._tmux("paste-buffer", "-p")

    def resize(self, columns: int, rows: int) -> None:
        self._tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def screen(self) -> str:
        """What can be seen, and what has scrolled away above it."""
        return self._tmux("capture-pane", "-p", "-S", "-")

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
        shell = self._tmux("display-message", "-p", "#{pane_pid}").strip()
        found = subprocess.run(["pgrep", "-P", shell], capture_output=True, text=True, check=True)
        return int(found.stdout.split()[0])

    def close(self) -> None:
        self._tmux("kill-server")
