"""`chat -p`: turns one after the other, to stdout as they come, or as one document."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field, to_builtins

from qwenpick.chat.events import Answer, Event, Finished, Notice, Thinking, Turn
from qwenpick.cli.interrupt import stopping
from qwenpick.cli.output import status

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from qwenpick.app.images import Images
    from qwenpick.app.loader import LoadedModel
    from qwenpick.chat.conversation import Conversation
    from qwenpick.chat.schema import Schema
    from qwenpick.engine.chunks import ImageChunk


class ChatResult(Struct, frozen=True, kw_only=True):
    """What `chat -p` gives."""

    opened: LoadedModel
    checkpoints: int
    """Bytes of the checkpoints that were made."""
    album: Images
    """The pictures that were shown."""
    turns: Sequence[Turn] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Give the document of `chat --json`."""
        from qwenpick.pick.memory import predicted_peak, used_late
        from qwenpick.pick.vision_memory import vision_bytes

        opened, prepared = self.opened, self.opened.prepared
        read = max((turn.prompt_tokens + turn.completion_tokens for turn in self.turns), default=0)
        predicted = predicted_peak(prepared.memory, prepared.settings, read=read)
        if prepared.projector:
            late = used_late(prepared.memory, prepared.settings)
            seen = vision_bytes(prepared.projector, self.album.largest, later=late)
            predicted += seen - prepared.memory.vision
        return {
            "model": {
                "path": str(prepared.local.path),
                "size": prepared.local.size,
                "quant": prepared.local.quant,
            },
            "settings": to_builtins(prepared.settings),
            "load_seconds": opened.load_seconds,
            "memory": {
                "predicted": predicted - prepared.memory.checkpoints + self.checkpoints,
                "actual": peak_memory(),
                "buffers": opened.engine.buffers | {"vision": self.album.reported},
            },
            "turns": [to_builtins(turn) for turn in self.turns],
        }

    def render(self) -> None:
        """Nothing is left to write: the answers were streamed."""


def answer(
    conversation: Conversation,
    prompts: Sequence[str],
    images: Sequence[ImageChunk],
    *,
    quiet: bool,
    schema: Schema | None = None,
) -> list[Turn]:
    """Say each prompt; the answers go to stdout and the thinking to stderr, unless *quiet*.

    An interrupted turn is the last one. Under a schema an answer is written when it is whole and
    was checked.

    Raises:
        RunError: An answer does not meet the schema.
    """
    turns: list[Turn] = []
    for index, text in enumerate(prompts):
        with stopping(conversation.stop):
            events = conversation.say(text, images if index == 0 else ())
            turns.append(_show(events, quiet=quiet or schema is not None))
        if turns[-1].finish == "interrupted":
            break
        if schema:
            schema.check(turns[-1].reply)
            if not quiet:
                sys.stdout.write(turns[-1].reply.strip() + "\n")
    return turns


def _show(events: Iterator[Event], *, quiet: bool) -> Turn:
    dim, plain = ("\x1b[2m", "\x1b[0m") if _colours() else ("", "")
    thinking = False
    for event in events:
        if isinstance(event, Finished):
            turn = event.turn
        elif isinstance(event, Notice):
            status(event.text)
        elif quiet:
            continue
        elif isinstance(event, Thinking):
            sys.stderr.write(dim + event.text + plain)
            sys.stderr.flush()
            thinking = True
        elif isinstance(event, Answer):
            if thinking:
                sys.stderr.write("\n\n")
                sys.stderr.flush()
                thinking = False
            sys.stdout.write(event.text)
            sys.stdout.flush()
    for call in turn.tool_calls if not quiet else ():
        status(f"calls {call['function']['name']} {call['function']['arguments']}")
    if not quiet:
        sys.stdout.write("\n")
        sys.stdout.flush()
    return turn


def _colours() -> bool:
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR")


def peak_memory() -> int:
    """Give the peak resident memory of this process in bytes."""
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    try:  # getrusage's peak begins with that of the process which started this one
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024
    except (OSError, LookupError, ValueError):
        import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
