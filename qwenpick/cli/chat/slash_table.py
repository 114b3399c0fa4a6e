"""The one table of what can be typed at the chat's prompt: /help, completion and docs read it.

Facts only; what a command does is in slash.py.
"""

from __future__ import annotations

import difflib
from typing import Literal

from msgspec import Struct

from qwenpick.errors import UsageError

Completes = Literal["", "file", "model", "session", "setting"]


class Command(Struct, frozen=True):
    """One command.

    Args:
        name: With its slash.
        argument: What follows it, in words; in brackets where it may be left out.
        does: One line.
        completes: What the argument is completed from.
    """

    name: str
    argument: str
    does: str
    completes: Completes = ""

    @property
    def usage(self) -> str:
        """The command with its argument."""
        return f"{self.name} {self.argument}".rstrip()


COMMANDS = (
    Command("/help", "", "this list, and the keys"),
    Command("/think", "[TOKENS]", "think before answering, up to so many tokens"),
    Command("/nothink", "", "answer at once"),
    Command("/model", "[MODEL]", "go on with another size, or file", "model"),
    Command("/system", "[TEXT]", "show or set the system prompt; /system - takes it away"),
    Command(
        "/image",
        "FILE",
        "show the model a picture, or what is at an address, with the next message",
        "file",
    ),
    Command("/read", "FILE", "put a text file before the next message", "file"),
    Command("/retry", "", "answer the last message again, with other draws"),
    Command("/edit", "", "write the last message anew"),
    Command("/undo", "", "take back the last message and its answer"),
    Command("/thoughts", "", "show the thinking of the last answer"),
    Command("/stats", "", "tokens, times and rates of the last answer, and the memory"),
    Command("/context", "", "how full the window is"),
    Command("/set", "[NAME VALUE]", "show or change how answers are made", "setting"),
    Command("/save", "[NAME]", "keep this conversation, by a name of yours"),
    Command("/sessions", "", "the kept conversations"),
    Command("/load", "NAME", "go on with a kept conversation", "session"),
    Command("/export", "FILE", "write the conversation to a .md or .json file", "file"),
    Command("/copy", "[code]", "copy the last answer, or its last block of code"),
    Command("/clear", "", "begin a new conversation"),
    Command("/quit", "", "leave; so does Ctrl-D"),
)

KEYS = (
    ("Enter", "send"),
    ("Alt-Enter", "a new line; pasted lines stay together"),
    ("Up, Down", "earlier messages, of earlier sessions too"),
    ("Tab", "complete a command or a file's name"),
    ("Ctrl-C", "stop the answer; twice at the prompt: leave"),
    ("Ctrl-T", "show or fold the thinking"),
    ("Ctrl-D", "leave"),
)


def find(text: str) -> tuple[Command, str]:
    """Read a line that starts with a slash: the command and its argument.

    A beginning that only one command has is enough.

    Raises:
        UsageError: There is no such command, or it lacks its argument.
    """
    name, _, argument = text.strip().partition(" ")
    known = [command.name for command in COMMANDS]
    starting = [command for command in COMMANDS if command.name.startswith(name.casefold())]
    exact = [command for command in starting if command.name == name.casefold()]
    found = exact or (starting if len(starting) == 1 else [])
    if not found:
        near = difflib.get_close_matches(name.casefold(), known, n=1, cutoff=0.5)
        names = [command.name for command in starting] or near
        raise UsageError(
            f"{name} is no command.",
            hint=f"Did you mean {' or '.join(names)}?" if names else "All of them: /help",
        )
    command, argument = found[0], argument.strip()
    if command.argument and command.argument[0] != "[" and not argument:
        raise UsageError(f"{command.name} of what?", hint=f"Type: {command.usage}")
    return command, argument


def markdown_table() -> str:
    """Write the table for docs/chat.md."""
    rows = [f"| `{command.usage}` | {command.does} |" for command in COMMANDS]
    keys = [f"| {key} | {does} |" for key, does in KEYS]
    head = ["| command | does |", "| --- | --- |"]
    return "\n".join([*head, *rows, "", "| key | does |", "| --- | --- |", *keys])
