"""Ctrl-C and other keys while an answer is written, when no prompt reads them.

Python's own handlers run only when the engine's C call comes back, seconds later. The byte that
the interpreter's C handler writes into the wakeup file arrives at once, and a thread that sleeps
on it stops the turn: within 50 ms.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import sys
import threading
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CTRL_T = "\x14"


@contextmanager
def stopping(stop: Callable[[], None]) -> Iterator[None]:
    """Have the first Ctrl-C call *stop*, in a thread; the second raises KeyboardInterrupt.

    For the main thread; anywhere else it does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)

    def watch() -> None:
        with contextlib.suppress(OSError):
            while code := ours.recv(1):
                if code[0] == signal.SIGINT:
                    stop()

    def first(_signal: int, _frame: object) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)

    watcher = threading.Thread(target=watch, name="Ctrl-C", daemon=True)
    before = signal.signal(signal.SIGINT, first)
    woken = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
    watcher.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(woken)
        signal.signal(signal.SIGINT, before)
        theirs.close()  # the watcher reads the end of it
        watcher.join()
        ours.close()


@contextmanager
def keys(*, wanted: bool = True) -> Iterator[Callable[[], str]]:
    """Take keys without echo; gives a function that returns what was pressed since its last call.

    Ctrl-C still interrupts. The terminal is always put back as it was. Without a POSIX terminal,
    or where keys are not *wanted*, nothing is ever pressed.
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
    pressed = b""
    while select.select([descriptor], [], [], 0)[0]:
        piece = os.read(descriptor, 1024)
        pressed += piece
        if not piece:
            break
    return pressed.decode(errors="replace")
