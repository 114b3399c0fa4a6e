"""Chats for tests, loaded as `chat` loads them, and a Ui that listens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import engines

from qwenpick.app import loader, models
from qwenpick.app.chats import Chat, ChatOptions
from qwenpick.app.pick_input import ask_machine
from qwenpick.catalog.table import load as load_catalog
from qwenpick.chat.generation_config import GenerationConfig
from qwenpick.pick.request import Request

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from qwenpick.app.store import Session
    from qwenpick.chat.events import Event, Turn


class Listener:
    """A Ui that says yes, and keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def status(self, line: str) -> None:
        self.lines.append(line)

    def progress(self, _name: str, done: int, total: int) -> None:
        pass

    def confirm(self, question: str, *, default: bool = True) -> bool:
        self.lines.append(question)
        return default


def chat(  # noqa: PLR0913 - each is what a test changes
    path: Path | None = None,
    *,
    context: int = 2048,
    max_tokens: int = 8,
    save: bool = True,
    session: Session | None = None,
    ui: Listener | None = None,
) -> Chat:
    """Open a greedy chat with one thread, on the tiny model unless told otherwise."""
    ui = ui or Listener()
    question = ask_machine(Request(context=context), load_catalog())
    local = models.resolve(str(path or engines.tiny()), None, question, ui)
    overrides = loader.LoadOverrides(threads=1, save=save)
    loaded = loader.load(loader.prepare(local, question, overrides), ui)
    config = GenerationConfig(max_tokens=max_tokens, sampling={"temperature": 0.0}, guard=False)
    return Chat(loaded, config, ChatOptions(save=save, prefill_ahead=False), ui, session)


def finish(events: Iterable[Event]) -> Turn:
    """Take all events of a turn; gives how it ended."""
    *_, last = events
    return last.turn
