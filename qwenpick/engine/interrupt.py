"""Ctrl-C while the engine works: within 50 ms, though the main thread sits in a C call.

Python's own handlers run only when that call comes back, seconds later. The byte that the
interpreter's C handler writes into the wakeup file arrives at once, and a thread that sleeps on
it stops the engine.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


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
def noting() -> Iterator[Callable[[], None]]:
    """Have Ctrl-C and SIGTERM noted; gives a function that raises what was noted.

    For C code that calls back: an exception that a handler raises just as a callback begins would
    be swallowed there. What was noted and not raised by the end is raised then.
    """
    noted: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return

    def check() -> None:
        if noted:
            raise KeyboardInterrupt if noted[0] == signal.SIGINT else SystemExit(128 + noted[0])

    def note(number: int, _frame: object) -> None:
        noted.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield check
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    check()
