"""What each command of the chat's prompt does; their names and words are in slash_table.py."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any, Protocol

from qwenpick import units
from qwenpick.app.images import name_of
from qwenpick.chat.messages import text_of
from qwenpick.cli import render
from qwenpick.cli.chat import chat_settings, paths, slash_table, transcript_file
from qwenpick.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from rich.console import Console

    from qwenpick.chat.conversation import Conversation
    from qwenpick.chat.events import Event, Turn
    from qwenpick.engine.chunks import ImageChunk

_CODE = re.compile(r"^(`{3,}|~{3,})[^\n]*\n(.*?)^\1[ \t]*$", re.DOTALL | re.MULTILINE)


class Host(Protocol):
    """What the chat command lends to its terminal."""

    conversation: Conversation
    label: str
    """Model and quantisation, in a word or two."""

    def switch(self, model: str) -> None:
        """Load another model, and go on with the same messages."""

    def keep(self) -> None:
        """Keep the conversation, where it is kept."""

    def save(self, name: str) -> str:
        """Keep it by a name; gives the name."""

    def kept(self) -> Sequence[tuple[str, str]]:
        """Give the kept conversations: name, and what there is to say of each."""

    def load(self, name: str) -> None:
        """Go on with a kept conversation."""

    def begin(self) -> None:
        """Begin a new conversation."""

    def picture(self, where: str) -> tuple[ImageChunk, str]:
        """Take a picture in, a file or an address; gives it, and a note where it was changed."""


class Slash:
    """The commands, and what they leave for the next message.

    Args:
        host: The conversation and what is around it.
        out: The terminal's console.
    """

    def __init__(self, host: Host, out: Console) -> None:
        self.host, self.out = host, out
        self.images: list[ImageChunk] = []
        self.text = ""
        self.draft: str | None = None
        """What the next prompt starts with, to be said in place of the last message."""
        self.show_thinking = False
        self.vi_keys = False
        self.last: Turn | None = None

    def run(self, line: str) -> Iterator[Event] | None:
        """Do what a line with a slash says; gives events where the model answers.

        Raises:
            UsageError: There is no such command, or it can't be done.
            EOFError: It is time to leave.
        """
        command, argument = slash_table.find(line)
        events: Iterator[Event] | None = getattr(self, "_" + command.name[1:])(argument)
        return events

    def message(self, text: str) -> Iterator[Event]:
        """Say a message, with what was read and shown before it."""
        dropped, text = paths.dropped(text)
        images = [*self.images, *(self._picture(where) for where in dropped)]
        whole = self.text + (text or "What is in this picture?")
        self.images, self.text = [], ""
        if self.draft is not None:
            self.draft = None
            return self.host.conversation.edit(whole, images)
        return self.host.conversation.say(whole, images)

    def say(self, line: str) -> None:
        """Write a line of talk."""
        self.out.print(line, style="dim")

    def _picture(self, where: str) -> ImageChunk:
        image, note = self.host.picture(where)
        words = f"{name_of(where)}: {image.n_tokens:,} tokens"
        self.say(f"{words}; {note}" if note else words)
        return image

    # One method a command, by its name

    def _help(self, _argument: str) -> None:
        rows = [(command.usage, command.does) for command in slash_table.COMMANDS]
        render.pairs(self.out, [*rows, ("", ""), *slash_table.KEYS])

    def _think(self, argument: str) -> None:
        if argument:
            chat_settings.apply(self.host.conversation.manner, "think-budget", argument)
        self.host.conversation.manner.thinking = True
        self.say("It thinks before it answers.")

    def _nothink(self, _argument: str) -> None:
        self.host.conversation.manner.thinking = False
        self.say("It answers at once.")

    def _model(self, argument: str) -> None:
        if argument:
            self.host.switch(argument)
        self.say(f"{self.host.label} talks.")

    def _system(self, argument: str) -> None:
        conversation = self.host.conversation
        if argument:
            conversation.system = None if argument == "-" else argument
        self.say(conversation.system or "There is no system prompt.")

    def _image(self, argument: str) -> None:
        for where in paths.pictures(argument):
            self.images.append(self._picture(where))
        self.say("It goes with your next message.")

    def _read(self, argument: str) -> None:
        for path in paths.files(argument):
            text = paths.text_of_file(path)
            self.text += f"{path.name}:\n\n{text.rstrip()}\n\n"
            self.say(f"{path.name}: {len(text):,} characters, before your next message.")

    def _retry(self, _argument: str) -> Iterator[Event]:
        return self.host.conversation.retry()

    def _edit(self, _argument: str) -> None:
        self.draft = _last(self.host.conversation.messages, "user")

    def _undo(self, _argument: str) -> None:
        text = self.host.conversation.undo()
        self.host.keep()
        self.say(f"Taken back: {text if len(text) < 60 else text[:57] + '...'}")  # noqa: PLR2004 - a line

    def _thoughts(self, _argument: str) -> None:
        thinking = self.last.thinking if self.last else ""
        self.say(thinking or "The last answer came without thinking.")

    def _stats(self, _argument: str) -> None:
        if self.last is None:
            raise UsageError("Nothing was answered yet.")
        render.pairs(self.out, _figures(self.last, self.host.conversation.engine.buffers))

    def _context(self, _argument: str) -> None:
        conversation = self.host.conversation
        used, whole = conversation.reader.n_tokens, conversation.engine.n_ctx
        drawn = render.bar([("#", used)], whole, 30)
        self.say(f"{drawn:-<30}  {used:,} of {whole:,} tokens")
        if conversation.window:
            self.say(f"The {conversation.window} oldest messages are out of it.")

    def _set(self, argument: str) -> None:
        how = self.host.conversation.manner
        name, _, value = argument.partition(" ")
        value = value.strip()
        if not name:
            own = [("show-thinking", "on" if self.show_thinking else "off")]
            own += [("keys", "vi" if self.vi_keys else "emacs")]
            render.pairs(
                self.out, chat_settings.shown(how, self.host.conversation.sampling()) + own
            )
        elif not value:
            raise UsageError(f"Set {name} to what?", hint=f"Type: /set {name} VALUE")
        elif name == "show-thinking":
            self.show_thinking = chat_settings.one_of(name, value, ("on", "off")) == "on"
        elif name == "keys":
            self.vi_keys = chat_settings.one_of(name, value, ("emacs", "vi")) == "vi"
        else:
            self.say(chat_settings.apply(how, name, value))

    def _save(self, argument: str) -> None:
        self.say(f"Saved as {self.host.save(argument)}.")

    def _sessions(self, _argument: str) -> None:
        kept = self.host.kept()
        render.pairs(self.out, kept) if kept else self.say("None is kept.")

    def _load(self, argument: str) -> None:
        self.host.load(argument)
        self.host.conversation.read_ahead()
        self.say(f"{argument}: {len(self.host.conversation.messages)} messages.")

    def _export(self, argument: str) -> None:
        conversation = self.host.conversation
        system = [{"role": "system", "content": conversation.system}] if conversation.system else []
        path = paths.files(argument)[0]
        transcript_file.write(path, [*system, *conversation.messages], title=self.host.label)
        self.say(f"Written: {path}")

    def _copy(self, argument: str) -> None:
        text = _last(self.host.conversation.messages, "assistant")
        if argument:
            blocks = _CODE.findall(text)
            if chat_settings.one_of("/copy", argument, ("code",)) and not blocks:
                raise UsageError("The last answer has no block of code.")
            text = blocks[-1][1]
        # OSC 52: the terminal itself puts it on its clipboard, over ssh too (xterm's ctlseqs)
        self.out.file.write(f"\x1b]52;c;{base64.b64encode(text.encode()).decode()}\x07")
        self.say(f"Copied {len(text):,} characters, if your terminal allows it.")

    def _clear(self, _argument: str) -> None:
        self.host.begin()
        self.last, self.images, self.text = None, [], ""
        self.say("A new conversation.")

    def _quit(self, _argument: str) -> None:
        raise EOFError


def _last(messages: Iterable[Any], role: str) -> str:
    """Give the text of the last message of a role."""
    found = [message for message in messages if message["role"] == role]
    if not found:
        raise UsageError("Nothing was said yet.")
    return text_of(found[-1])


def _figures(turn: Turn, buffers: Mapping[str, int]) -> list[tuple[str, str]]:
    """Give what /stats shows: the last answer's tokens and rates, and the engine's memory."""
    first = turn.first_token_seconds
    return [
        ("prompt", f"{turn.prompt_tokens:,} tokens, {turn.cached_tokens:,} of them kept"),
        ("read", _rate(turn.prompt_rate)),
        ("answer", f"{turn.completion_tokens:,} tokens"),
        ("written", _rate(turn.decode_rate)),
        ("first", f"after {first:.2f} s" if first else "-"),
        *((part.replace("_", " "), units.memory(size)) for part, size in buffers.items() if size),
    ]


def _rate(rate: float | None) -> str:
    return "-" if rate is None else f"{units.rate(rate)} tokens/s"
