"""`chat -p`: turns one after the other, to stdout as they come, or as one document."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Literal

from msgspec import convert
from msgspec.structs import asdict

from qwenpick.chat.events import Answer, Event, Finished, Notice, Thinking, Turn
from qwenpick.cli.documents import Document, ModelDocument, Part
from qwenpick.cli.interrupt import stopping
from qwenpick.cli.output import message, status, write
from qwenpick.hardware.system import peak_memory
from qwenpick.pick.request import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from qwenpick.app.chats import Chat
    from qwenpick.engine.chunks import ImageChunk


class OpenAiFunction(Part, frozen=True, kw_only=True):
    """What a tool call calls."""

    name: str
    arguments: str
    """JSON text."""


class OpenAiCall(Part, frozen=True, kw_only=True):
    """A tool call in OpenAI's form."""

    id: str
    type: Literal["function"]
    function: OpenAiFunction


class ChatTurn(Turn, frozen=True, kw_only=True):
    """A turn; rates in tokens per second."""

    tool_calls: tuple[OpenAiCall, ...]  # type: ignore[assignment]  # in the form that others read


class ChatMemory(Part, frozen=True, kw_only=True):
    """What the chat took, in bytes."""

    predicted: int
    """The sum for what was read."""
    actual: int
    """The process's peak resident memory."""
    buffers: dict[str, int]
    """What the engine reported, named as the parts of the sum."""


class ChatDocument(Document, frozen=True, kw_only=True):
    """What `chat -p TEXT --json` prints."""

    model: ModelDocument
    settings: Settings
    load_seconds: float
    memory: ChatMemory
    turns: list[ChatTurn]


def document(chat: Chat, turns: Sequence[Turn]) -> ChatDocument:
    """Give what `chat --json` prints."""
    loaded = chat.loaded
    read = max((turn.prompt_tokens + turn.completion_tokens for turn in turns), default=0)
    predicted = loaded.predicted_bytes(read, largest_image=chat.images.largest_tokens)
    return ChatDocument(
        model=ModelDocument.of(loaded.prepared.local),
        settings=loaded.prepared.settings,
        load_seconds=loaded.load_seconds,
        memory=ChatMemory(
            predicted=predicted + chat.model.prefix_cache.checkpoints.bytes,
            actual=peak_memory(),
            buffers=loaded.engine.buffers | {"vision": loaded.vision_bytes},
        ),
        turns=[
            convert(
                asdict(turn) | {"tool_calls": [call.to_openai() for call in turn.tool_calls]},
                ChatTurn,
            )
            for turn in turns
        ],
    )


def answer(
    chat: Chat, prompts: Sequence[str], images: Sequence[ImageChunk], *, quiet: bool
) -> list[Turn]:
    """Send each prompt; answers go to stdout and thinking to stderr, unless *quiet*.

    An interrupted turn is the last one. Under a schema an answer is written when it is complete
    and was checked.

    Raises:
        RunError: An answer does not meet the schema.
    """
    turns: list[Turn] = []
    schema = chat.config.schema
    for index, text in enumerate(prompts):
        events = chat.send(text, images if index == 0 else ())
        with stopping(chat.stop):
            turns.append(_show(events, quiet=quiet or schema is not None))
        if turns[-1].finish == "interrupted":
            break
        if schema:
            schema.check(turns[-1].reply)
            if not quiet:
                write(turns[-1].reply.strip() + "\n")
    return turns


def _show(events: Iterator[Event], *, quiet: bool) -> Turn:
    thinking = False
    for event in events:
        if isinstance(event, Finished):
            turn = event.turn
        elif isinstance(event, Notice):
            status(event.text)
        elif quiet:
            continue
        elif isinstance(event, Thinking):
            message(event.text, dim=True)
            thinking = True
        elif isinstance(event, Answer):
            if thinking:
                message("\n\n")
                thinking = False
            write(event.text)
            sys.stdout.flush()
    if not quiet:
        for call in turn.tool_calls:
            status(str(call))
        write("\n")
        sys.stdout.flush()
    return turn
