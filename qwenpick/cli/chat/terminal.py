"""The chat on a terminal: a prompt line, answers, commands. The only prompt_toolkit file.

It shows a turn and takes keys; what a conversation is, and where it is saved, is the chat's
(app/chats.py).
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import Completer, DummyCompleter, PathCompleter, WordCompleter
from prompt_toolkit.document import Document
from prompt_toolkit.enums import EditingMode
from prompt_toolkit.history import FileHistory, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.styles import Style

from qwenpick import files, units
from qwenpick.app import store
from qwenpick.chat.events import Answer, Event, Notice
from qwenpick.cli import render
from qwenpick.cli.chat import paths
from qwenpick.cli.chat.chat_settings import SETTINGS
from qwenpick.cli.chat.slash import Slash
from qwenpick.cli.chat.slash_table import COMMANDS
from qwenpick.cli.chat.stream import AnswerStream
from qwenpick.cli.interrupt import CTRL_T, keys, stopping
from qwenpick.errors import QwenpickError
from qwenpick.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from prompt_toolkit.completion import CompleteEvent, Completion
    from prompt_toolkit.history import History
    from prompt_toolkit.key_binding import KeyPressEvent

    from qwenpick.app.chats import Chat
    from qwenpick.engine.chunks import ImageChunk

_STYLE = Style.from_dict({"bottom-toolbar": "noreverse fg:ansibrightblack", "prompt": "bold"})
_SIZES = ("0.8b", "2b", "4b", "9b", "demo")


class Terminal:
    """Talks to a person until they leave.

    Args:
        chat: What answers.
        show_thinking: Whether thinking is written out from the start.
        remember: Whether what is typed is saved for later sessions.
    """

    def __init__(self, chat: Chat, *, show_thinking: bool = False, remember: bool = True) -> None:
        self._chat = chat
        self._out = render.console()
        self._slash = Slash(chat, self._out)
        self._slash.show_thinking = show_thinking
        self._typed = ""
        self._dumb = os.environ.get("TERM", "dumb") in {"dumb", "unknown"}
        self._prompt: PromptSession[str] = PromptSession(
            "> ",
            multiline=True,
            prompt_continuation="  ",
            history=_history() if remember else InMemoryHistory(),
            completer=_Completer(),
            complete_while_typing=False,
            key_bindings=_bindings(),
            bottom_toolbar=self._toolbar,
            style=_STYLE,
            enable_open_in_editor=True,
            reserve_space_for_menu=4,
        )

    def run(self, images: Sequence[ImageChunk] = ()) -> None:
        """Ask, answer, and ask again; Ctrl-D, /quit or two Ctrl-C end it.

        Args:
            images: What goes with the first message.
        """
        self._slash.say(
            f"{self._chat.loaded.label}, {units.context(self._chat.model.n_ctx)} context, "
            f"{self._thinking()}. /help for commands, Ctrl-C stops, Ctrl-D leaves."
        )
        self._slash.images += images
        self._chat.prefill_ahead()
        warned = False
        while True:
            try:
                text = self._ask()
            except KeyboardInterrupt:
                if warned:
                    return
                warned = self._cancel()
                continue
            except EOFError:
                return
            warned = False
            try:
                self._do(text)
            except KeyboardInterrupt:
                self._slash.say("Stopped.")
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

    def _cancel(self) -> bool:
        """Take Ctrl-C at the prompt: it ends an edit, else it warns; says whether it did."""
        if self._slash.draft is not None:
            self._slash.draft = None
            self._slash.say("Edit cancelled; the message is unchanged.")
            return False
        self._slash.say("Press Ctrl-C again to leave, or Ctrl-D.")
        return True

    def _do(self, text: str) -> None:
        if not text.strip():
            return
        command = text.startswith("/") and "/" not in text.split(maxsplit=1)[0][1:]
        if not command:
            self._send(text)
        elif events := self._slash.run(text):
            self._answer(events)

    def _send(self, text: str) -> None:
        """Send a message, with what was attached; that waits on where the turn changes nothing."""
        slash, before = self._slash, self._chat.messages
        images = list(slash.images)
        if paths.PATH_START.match(text):
            dropped, text = paths.dropped(text)
            images += [self._chat.show_image(where) for where in dropped]
        whole = slash.text + (text or "What is in this image?")
        edits, slash.draft = slash.draft is not None, None
        self._answer(self._chat.edit(whole, images) if edits else self._chat.send(whole, images))
        if self._chat.messages is not before:
            slash.images, slash.text = [], ""

    def _answer(self, events: Iterator[Event]) -> None:
        """Show an answer while it is written."""
        show = _Plain(self._out.file.write) if self._dumb else AnswerStream(
            self._out, show_thinking=self._slash.show_thinking
        )  # fmt: skip
        with stopping(self._chat.stop), keys(wanted=not self._dumb) as pressed:
            try:
                for event in events:
                    self._take_keys(pressed(), show)
                    show.take(event)
            finally:
                show.close()
        self._out.print()

    def _take_keys(self, pressed: str, show: AnswerStream | _Plain) -> None:
        for _ in range(pressed.count(CTRL_T)):
            show.toggle_thinking()
            self._slash.show_thinking = not self._slash.show_thinking
        self._typed += "".join(key for key in pressed if key.isprintable())

    def _toolbar(self) -> str:
        model, last = self._chat.model, self._chat.last_turn
        used = f"{units.context(model.n_tokens)} of {units.context(model.n_ctx)}"
        parts = [self._chat.loaded.label, self._thinking(), used]
        if last and last.decode_rate:
            parts.append(f"{units.rate(last.decode_rate)} tok/s")
        return "  ".join(parts)

    def _thinking(self) -> str:
        return f"thinking {'on' if self._chat.config.thinking else 'off'}"


class _Plain:
    """Shows a turn where the cursor cannot move: the answer's text as it comes."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write

    def take(self, event: Event) -> None:
        if isinstance(event, (Answer, Notice)):
            self._write(printable(event.text))

    def toggle_thinking(self) -> None:
        """Thinking is never shown here."""

    def close(self) -> None:
        self._write("\n")


class _Completer(Completer):
    """Completes commands, and what follows them."""

    def __init__(self) -> None:
        self._commands = WordCompleter(
            [command.name for command in COMMANDS],
            display_dict={command.name: command.usage for command in COMMANDS},
            meta_dict={command.name: command.does for command in COMMANDS},
            sentence=True,
        )
        self._arguments: dict[str, Completer] = {
            "file": PathCompleter(expanduser=True),
            "model": WordCompleter(_SIZES, sentence=True),
            "session": WordCompleter(
                lambda: [one.name for one in store.listed()[0]], sentence=True
            ),
            "setting": WordCompleter(SETTINGS, sentence=True),
            "": DummyCompleter(),
        }

    def get_completions(self, document: Document, event: CompleteEvent) -> Iterable[Completion]:
        name, space, argument = document.text_before_cursor.partition(" ")
        if not space:
            return self._commands.get_completions(document, event) if name[:1] == "/" else ()
        kind = next((command.completes for command in COMMANDS if command.name == name), "")
        return self._arguments[kind].get_completions(Document(argument), event)


class _History(FileHistory):
    """What was typed, saved while that is possible."""

    def store_string(self, string: str) -> None:
        with suppress(OSError):  # a full disk must not end the chat
            super().store_string(string)


def _history() -> History:
    """Open the file of what was typed, which only its owner can read; memory where it cannot be."""
    path = files.home() / "history"
    try:
        files.folder(path.parent)
        path.touch(mode=0o600)
        path.chmod(0o600)
    except OSError:
        return InMemoryHistory()
    return _History(path) if path.is_file() else InMemoryHistory()


def _bindings() -> KeyBindings:
    bindings = KeyBindings()

    @bindings.add("enter")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.validate_and_handle()

    @bindings.add("escape", "enter")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    @bindings.add("c-t")
    def _(event: KeyPressEvent) -> None:
        event.app.exit(result="/thoughts")

    return bindings
