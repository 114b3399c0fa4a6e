"""Ask a driver that may hang or crash, without hanging or crashing.

A driver that waits inside the kernel can't be interrupted, not even by ending the
process; so the question is asked in a child, which is left behind when it does not answer.
Windows has no fork: there a thread asks, which covers a hang but no crash.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class IsolatedCallError(Exception):
    """No answer: the message says whether the driver hung or crashed."""


def call_isolated(
    question: Callable[[], Any], *, seconds: float, fork: bool = hasattr(os, "fork")
) -> Any:  # noqa: ANN401 - any JSON
    """Give what *question* returns, as JSON carries it.

    Raises:
        IsolatedCallError: It did not return within *seconds*, or ended its process.
    """
    return (_in_child if fork else _in_thread)(question, seconds)


def _in_child(question: Callable[[], Any], seconds: float) -> Any:  # noqa: ANN401
    import json
    import select
    import signal
    import time

    reader, writer = os.pipe()
    child = _fork()
    if child == 0:
        try:
            os.write(writer, json.dumps(question()).encode())
        finally:
            os._exit(0)  # no cleaning up: what is open belongs to the parent
    os.close(writer)
    deadline = time.monotonic() + seconds
    text = b""
    while select.select([reader], [], [], max(0, deadline - time.monotonic()))[0]:
        piece = os.read(reader, 1 << 16)
        if not piece:
            break
        text += piece
    else:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, os.WNOHANG)
        os.close(reader)
        raise IsolatedCallError(f"did not answer within {seconds:.1f} seconds")
    os.waitpid(child, 0)
    os.close(reader)
    if not text:
        raise IsolatedCallError("crashed")
    return json.loads(text)


def _fork() -> int:
    """Fork; Python 3.12 warns of it where threads run, but this child only asks and exits."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _in_thread(question: Callable[[], Any], seconds: float) -> Any:  # noqa: ANN401
    import threading

    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(question()), daemon=True)
    thread.start()
    thread.join(seconds)
    if not answers:
        raise IsolatedCallError(f"did not answer within {seconds:.1f} seconds")
    return answers[0]
