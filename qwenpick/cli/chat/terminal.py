"""The chat on a terminal: a prompt line, answers, commands. The only prompt_toolkit file.

It knows how to talk to a person; what a conversation is, and where it is kept, is the
host's (slash.py has what is asked of one).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import Completer, Completion, PathCompleter
from prompt_toolkit.document import Document
from prompt_toolkit.enums import EditingMode
from prompt_toolkit.history import FileHistory, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.styles import Style

from qwenpick import units
from qwenpick.chat.events import Answer, Event, Finished, Notice
from qwenpick.cli import render
from qwenpick.cli.chat.chat_settings import SETTINGS
from qwenpick.cli.chat.slash import Host, Slash
from qwenpick.cli.chat.slash_table import COMMANDS
from qwenpick.cli.chat.stream import AnswerStream
from qwenpick.cli.interrupt import CTRL_T, keys, stopping
from qwenpick.errors import QwenpickError
from qwenpick.files import home

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from prompt_toolkit.completion import CompleteEvent
    from prompt_toolkit.history import History
    from prompt_toolkit.key_binding import KeyPressEvent

    from qwenpick.engine.chunks import ImageChunk

_STYLE = Style.from_dict({"bottom-toolbar": "noreverse fg:ansibrightblack", "prompt": "bold"})
_SIZES = ("0.8b", "2b", "4b", "9b", "demo")


class _Completer(Completer):
    """Completes commands, and what follows them."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._files = PathCompleter(expanduser=True)

    def get_completions(self, document: Document, event: CompleteEvent) -> Iterable[Completion]:
        before = document.text_before_cursor
        if not before.startswith("/") or "\n" in before:
            return
        name, space, argument = before.partition(" ")
        if not space:
            for command in COMMANDS:
                if command.name.startswith(name):
                    yield Completion(
                        command.name, -len(name), command.usage, display_meta=command.does
                    )
            return
        kind = next((command.completes for command in COMMANDS if command.name == name), "")
        if kind == "file":
            yield from self._files.get_completions(Document(argument), event)
            return
        words = {"model": _SIZES, "setting": SETTINGS, "": ()}.get(kind)
        for word in [name for name, _ in self._host.kept()] if words is None else words:
            if word.startswith(argument):
                yield Completion(word, -len(argument))


class Terminal:
    """Talks to a person until they leave.

    Args:
        host: The conversation and what is around it.
        show_thinking: Whether thinking is written out from the start.
        remember: Whether what is typed is kept for later sessions.
    """

    def __init__(self, host: Host, *, show_thinking: bool = False, remember: bool = True) -> None:
        self._host = host
        self._out = render.console()
        self._slash = Slash(host, self._out)
        self._slash.show_thinking = show_thinking
        self._typed = ""
        self._dumb = os.environ.get("TERM", "dumb") in {"dumb", "unknown"}
        self._prompt: PromptSession[str] = PromptSession(
            "> ",
            multiline=True,
            prompt_continuation="  ",
            history=_history() if remember else InMemoryHistory(),
            completer=_Completer(host),
            complete_while_typing=False,
            key_bindings=_bindings(),
            bottom_toolbar=self._toolbar,
            style=_STYLE,
            enable_open_in_editor=True,
            reserve_space_for_menu=4,
        )

    def run(self, pictures: Sequence[ImageChunk] = ()) -> None:
        """Ask, answer, and ask again; Ctrl-D, /quit or two Ctrl-C end it.

        Args:
            pictures: What goes with the first message.
        """
        self._slash.say(
            f"{self._host.label}, {units.context(self._host.conversation.engine.n_ctx)} context, "
            f"{self._thinking()}. /help for commands, Ctrl-C stops, Ctrl-D leaves."
        )
        self._slash.images += pictures
        self._host.conversation.read_ahead()
        warned = False
        while True:
            try:
                text = self._ask()
                warned = False
                if text.strip():
                    self._do(text)
            except KeyboardInterrupt:
                if warned:
                    return
                warned = True
                self._slash.say("Ctrl-C again leaves, and so does Ctrl-D.")
            except EOFError:
                return
            except QwenpickError as error:
                self._out.print(error.message)
                if error.hint:
                    self._slash.say(error.hint)

    def _ask(self) -> str:
        typed, self._typed = self._typed, ""
        mode = EditingMode.VI if self._slash.vi_keys else EditingMode.EMACS
        self._prompt.editing_mode = mode
        return self._prompt.prompt(default=(self._slash.draft or "") + typed)

    def _do(self, text: str) -> None:
        command = text.startswith("/") and "/" not in text.split(maxsplit=1)[0][1:]
        events = self._slash.run(text) if command else self._slash.message(text)
        if events is not None:
            self._answer(events)

    def _answer(self, events: Iterator[Event]) -> None:
        """Show an answer while it is written."""
        show = _Plain(self._out.file.write) if self._dumb else AnswerStream(
            self._out, show_thinking=self._slash.show_thinking
        )  # fmt: skip
        with stopping(self._host.conversation.stop), keys(wanted=not self._dumb) as pressed:
            try:
                for event in events:
                    self._take_keys(pressed(), show)
                    show.take(event)
                    if isinstance(event, Finished):
                        self._slash.last = event.turn
                        self._host.keep()
            finally:
                show.close()
        self._out.print()

    def _take_keys(self, keys: str, show: Any) -> None:  # noqa: ANN401 - one of two streams
        for _ in range(keys.count(CTRL_T)):
            show.toggle_thinking()
            self._slash.show_thinking = not self._slash.show_thinking
        self._typed += "".join(key for key in keys if key.isprintable())

    def _toolbar(self) -> str:
        conversation = self._host.conversation
        used = units.context(conversation.reader.n_tokens)
        parts = [
            self._host.label,
            self._thinking(),
            f"{used} of {units.context(conversation.engine.n_ctx)}",
        ]
        last = self._slash.last
        if last and last.decode_rate:
            parts.append(f"{units.rate(last.decode_rate)} tok/s")
        return "  ".join(parts)

    def _thinking(self) -> str:
        return f"thinking {'on' if self._host.conversation.manner.thinking else 'off'}"


class _Plain:
    """Shows a turn where the cursor can't move: the answer's text as it comes."""

    def __init__(self, write: Any) -> None:  # noqa: ANN401 - a file's write
        self._write = write

    def take(self, event: Event) -> None:
        if isinstance(event, (Answer, Notice)):
            self._write(event.text)

    def toggle_thinking(self) -> None:
        """Thinking is never shown here."""

    def close(self) -> None:
        self._write("\n")


def _history() -> History:
    """Open the file of what was typed, readable by its owner alone."""
    path = home() / "history"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    return FileHistory(path)


def _bindings() -> KeyBindings:
    keys = KeyBindings()

    @keys.add("enter")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.validate_and_handle()

    @keys.add("escape", "enter")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    @keys.add("c-t")
    def _(event: KeyPressEvent) -> None:
        event.app.exit(result="/thoughts")

    return keys
