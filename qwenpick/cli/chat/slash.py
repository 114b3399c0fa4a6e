"""What each command of the chat's prompt does; their names and words are in slash_table.py."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING

from qwenpick import units
from qwenpick.app import store, transcript_file
from qwenpick.cli import render
from qwenpick.cli.chat import chat_settings, paths, slash_table
from qwenpick.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rich.console import Console

    from qwenpick.app.chats import Chat
    from qwenpick.chat.events import Event, Turn
    from qwenpick.chat.messages import Message
    from qwenpick.engine.chunks import ImageChunk

_CODE = re.compile(r"^(`{3,}|~{3,})[^\n]*\n(.*?)^\1[ \t]*$", re.DOTALL | re.MULTILINE)
_LINE = 60
"""Characters of a message that fit in a line of talk."""


class Slash:
    """The commands, and what they leave for the next message.

    Args:
        chat: The chat that they change.
        out: The terminal's console.
    """

    def __init__(self, chat: Chat, out: Console) -> None:
        self.chat, self.out = chat, out
        self.images: list[ImageChunk] = []
        self.text = ""
        self.draft: str | None = None
        """What the next prompt starts with, to be sent in place of the last message."""
        self.show_thinking = False
        self.vi_keys = False

    def run(self, line: str) -> Iterator[Event] | None:
        """Do what a line with a slash says; gives events where the model answers.

        Raises:
            UsageError: There is no such command, or it cannot be done.
            EOFError: It is time to leave.
        """
        command, argument = slash_table.find(line)
        events: Iterator[Event] | None = getattr(self, "_" + command.name[1:])(argument)
        return events

    def say(self, line: str) -> None:
        """Write a line of talk."""
        self.out.print(line, style="dim")

    # One method a command, by its name

    def _help(self, _argument: str) -> None:
        rows = [(command.usage, command.does) for command in slash_table.COMMANDS]
        render.pairs(self.out, [*rows, ("", ""), *slash_table.KEYS])

    def _think(self, argument: str) -> None:
        if argument:
            chat_settings.apply(self.chat, "think-budget", argument)
        self.chat.set_config(thinking=True)
        self.say("Thinking is on.")

    def _nothink(self, _argument: str) -> None:
        self.chat.set_config(thinking=False)
        self.say("Thinking is off.")

    def _model(self, argument: str) -> None:
        if argument:
            self.chat.replace_model(argument)
            self.chat.prefill_ahead()
        self.say(f"Now using {self.chat.loaded.label}.")

    def _system(self, argument: str) -> None:
        if argument:
            self.chat.set_system(None if argument == "-" else argument)
        self.say(self.chat.session.system or "There is no system prompt.")

    def _image(self, argument: str) -> None:
        for where in paths.images(argument):
            self.images.append(self.chat.show_image(where))
        count = units.count(len(self.images), "image")
        self.say(f"{count} attached to your next message.")

    def _read(self, argument: str) -> None:
        for path in paths.files(argument):
            text = paths.text_of_file(path)
            self.text += f"{path.name}:\n\n{text.rstrip()}\n\n"
            self.say(f"{path.name}: {len(text):,} characters, before your next message.")

    def _retry(self, _argument: str) -> Iterator[Event]:
        return self.chat.regenerate()

    def _edit(self, _argument: str) -> None:
        self.draft = _last(self.chat.messages, "user")

    def _undo(self, _argument: str) -> None:
        text = self.chat.undo()
        self.say(f"Removed: {text if len(text) < _LINE else text[: _LINE - 3] + '...'}")

    def _thoughts(self, _argument: str) -> None:
        turn = self.chat.last_turn
        self.say((turn and turn.thinking) or "There was no thinking before the last answer.")

    def _stats(self, _argument: str) -> None:
        turn = self.chat.last_turn
        if turn is None:
            raise UsageError("There is no answer yet.")
        render.pairs(self.out, _figures(turn, self.chat.loaded.engine.buffers))

    def _context(self, _argument: str) -> None:
        used, whole = self.chat.model.n_tokens, self.chat.model.n_ctx
        hidden = self.chat.session.first_visible
        drawn = render.bar([("#", used)], whole, 30)
        self.say(f"{drawn:-<30}  {used:,} of {whole:,} tokens")
        if hidden:
            oldest = "oldest message is" if hidden == 1 else f"{hidden} oldest messages are"
            self.say(f"The {oldest} no longer in it.")

    def _set(self, argument: str) -> None:
        name, _, value = argument.partition(" ")
        value = value.strip()
        if not name:
            rows = chat_settings.shown(self.chat)
            rows += [("show-thinking", "on" if self.show_thinking else "off")]
            render.pairs(self.out, [*rows, ("keys", "vi" if self.vi_keys else "emacs")])
        elif not value:
            raise UsageError(f"{name} needs a value.", hint=f"Type: /set {name} VALUE")
        elif name == "show-thinking":
            self.show_thinking = chat_settings.one_of(name, value, ("on", "off")) == "on"
        elif name == "keys":
            self.vi_keys = chat_settings.one_of(name, value, ("emacs", "vi")) == "vi"
        else:
            self.say(chat_settings.apply(self.chat, name, value))

    def _save(self, argument: str) -> None:
        self.say(f"Saved as {self.chat.save_as(argument)}.")

    def _sessions(self, _argument: str) -> None:
        good, broken = store.listed()
        rows = [(one.name, f"{one.label}  {one.title[:_LINE]}") for one in good]
        rows += [(one.name, one.problem) for one in broken]
        render.pairs(self.out, rows) if rows else self.say("There are no saved conversations.")

    def _load(self, argument: str) -> None:
        self.chat.restore(argument)
        self.chat.prefill_ahead()
        self.say(f"{argument}: {units.count(len(self.chat.messages), 'message')}.")

    def _export(self, argument: str) -> None:
        path = paths.files(argument)[0]
        transcript_file.write(path, self.chat)
        self.say(f"Written: {path}")

    def _copy(self, argument: str) -> None:
        text = _last(self.chat.messages, "assistant")
        if argument:
            blocks = _CODE.findall(text)
            if chat_settings.one_of("/copy", argument, ("code",)) and not blocks:
                raise UsageError("The last answer has no block of code.")
            text = blocks[-1][1]
        # OSC 52: the terminal itself puts it on its clipboard, over ssh too (xterm's ctlseqs)
        self.out.file.write(f"\x1b]52;c;{base64.b64encode(text.encode()).decode()}\x07")
        self.say(f"Copied {len(text):,} characters, if your terminal allows it.")

    def _clear(self, _argument: str) -> None:
        self.chat.clear()
        self.images, self.text, self.draft = [], "", None
        self.say("New conversation.")

    def _quit(self, _argument: str) -> None:
        raise EOFError


def _last(messages: Sequence[Message], role: str) -> str:
    """Give the text of the last message of a role."""
    found = [message.content for message in messages if message.role == role]
    if not found:
        raise UsageError("There is no message yet.")
    return found[-1]


def _figures(turn: Turn, buffers: Mapping[str, int]) -> list[tuple[str, str]]:
    """Give what /stats shows: the last answer's tokens and speeds, and the engine's memory."""
    first = turn.first_token_seconds
    return [
        ("prompt", f"{turn.prompt_tokens:,} tokens, {turn.cached_tokens:,} of them cached"),
        ("prefill", _rate(turn.prompt_rate)),
        ("answer", f"{turn.completion_tokens:,} tokens"),
        ("decode", _rate(turn.decode_rate)),
        ("first token", f"after {first:.2f} s" if first else "-"),
        *((part.replace("_", " "), units.memory(size)) for part, size in buffers.items() if size),
    ]


def _rate(rate: float | None) -> str:
    return "-" if rate is None else f"{units.rate(rate)} tokens/s"
