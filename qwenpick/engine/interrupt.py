"""Signals while the engine loads a model: noted, and raised where the C code calls back."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


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
