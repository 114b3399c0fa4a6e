"""Where output goes: the answer to stdout, messages to stderr, one JSON document on demand.

A command makes a typed result, and `emit` writes it: as JSON, or as its `render` does. What that
needs is imported there, since rich costs 40 ms.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Protocol

from qwenpick.printable import printable

if TYPE_CHECKING:
    from msgspec import Struct


class Result(Protocol):
    """What a command gives back."""

    def document(self) -> Struct:
        """Give what `--json` prints: a Struct with a field `schema`."""

    def render(self) -> None:
        """Write it for a person, to stdout."""


def emit(result: Result, *, as_json: bool) -> None:
    """Write a result to stdout; a reader that has gone ends it quietly (typer would end with 1)."""
    try:
        if as_json:
            write_json(result.document())
        else:
            result.render()
        sys.stdout.flush()
    except BrokenPipeError:
        drop_stdout()


def write_json(document: Struct) -> None:
    """Write one JSON document, its `schema` first."""
    import msgspec  # --help does without: 8 ms

    whole = {"schema": 1} | msgspec.to_builtins(document, enc_hook=str)
    text = msgspec.json.format(msgspec.json.encode(whole), indent=1)
    write(text.decode() + "\n")


def drop_stdout() -> None:
    """The reader has gone: what is still in the buffer must not be written at exit."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)


def write(text: str) -> None:
    """Write a part of the answer to stdout: safe on a terminal, exact anywhere else."""
    sys.stdout.write(printable(text) if sys.stdout.isatty() else text)


def message(text: str, *, dim: bool = False) -> None:
    """Write to stderr, safe to show; *dim* where it has colours."""
    coloured = dim and sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    start, end = ("\x1b[2m", "\x1b[0m") if coloured else ("", "")
    sys.stderr.write(start + printable(text) + end)
    sys.stderr.flush()


def status(line: str) -> None:
    """Write a line of messages to stderr."""
    message(line + "\n")
