"""Keys that are pressed while an answer is written, when no prompt reads them."""

from __future__ import annotations

import os
import select
import sys
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CTRL_T = "\x14"


@contextmanager
def listening(*, wanted: bool = True) -> Iterator[Callable[[], str]]:
    """Take the keys unechoed; gives a function that says what was pressed since it was asked.

    Ctrl-C still interrupts. Whatever happens the terminal is put back as it was. Where there is
    no POSIX terminal, or it is not *wanted*, nothing is ever pressed.
    """
    if find_spec("termios") is None or not (wanted and sys.stdin.isatty()):
        yield lambda: ""
        return
    import termios
    import tty

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor, termios.TCSANOW)
        yield lambda: _pressed(descriptor)
    finally:
        termios.tcsetattr(descriptor, termios.TCSANOW, before)


def _pressed(descriptor: int) -> str:
    keys = b""
    while select.select([descriptor], [], [], 0)[0]:
        piece = os.read(descriptor, 1024)
        keys += piece
        if not piece:
            break
    return keys.decode(errors="replace")
