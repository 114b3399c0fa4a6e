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
        argument: What follows it, in words; in brackets where it is optional.
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
    Command("/help", "", "show this list, and the keys"),
    Command("/think", "[TOKENS]", "think before answering, up to this many tokens"),
    Command("/nothink", "", "answer without thinking"),
    Command("/model", "[MODEL]", "switch to another model", "model"),
    Command("/system", "[TEXT]", "show or set the system prompt; /system - removes it"),
    Command("/image", "FILE", "attach an image, a file or an address, to the next message", "file"),
    Command("/read", "FILE", "put a text file before the next message", "file"),
    Command("/retry", "", "regenerate the last answer"),
    Command("/edit", "", "edit the last message and answer it again"),
    Command("/undo", "", "remove the last message and its answer"),
    Command("/thoughts", "", "show the thinking of the last answer"),
    Command("/stats", "", "show tokens, times and speeds of the last answer, and the memory"),
    Command("/context", "", "show how full the context is"),
    Command("/set", "[NAME VALUE]", "show or change how answers are generated", "setting"),
    Command("/save", "[NAME]", "save this conversation, under a name of your choice"),
    Command("/sessions", "", "list the saved conversations"),
    Command("/load", "NAME", "continue a saved conversation", "session"),
    Command("/export", "FILE", "write the conversation to a .md or .json file", "file"),
    Command("/copy", "[code]", "copy the last answer, or its last block of code"),
    Command("/clear", "", "start a new conversation"),
    Command("/quit", "", "leave; also /bye or Ctrl-D"),
)

KEYS = (
    ("Enter", "send"),
    ("Alt-Enter", "new line; pasted lines stay together"),
    ("Up, Down", "earlier messages, also of earlier sessions"),
    ("Tab", "complete a command or a file name"),
    ("Ctrl-C", "stop the answer; twice at the prompt: leave"),
    ("Ctrl-T", "show or hide the thinking"),
    ("Ctrl-D", "leave"),
)
_ALIASES = {"/bye": "/quit", "/exit": "/quit", "/?": "/help"}
_NEEDS = {"FILE": "a file name", "NAME": "a name"}


def find(text: str) -> tuple[Command, str]:
    """Read a line that starts with a slash: the command and its argument.

    A beginning that only one command has is enough.

    Raises:
        UsageError: There is no such command, or it lacks its argument.
    """
    typed, _, argument = text.strip().partition(" ")
    name = _ALIASES.get(typed.casefold(), typed.casefold())
    starting = [command for command in COMMANDS if command.name.startswith(name)]
    exact = [command for command in starting if command.name == name]
    found = exact or (starting if len(starting) == 1 else [])
    if not found:
        known = [command.name for command in COMMANDS]
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        names = [command.name for command in starting] or near
        raise UsageError(
            f"Unknown command {typed}.",
            hint=f"Did you mean {' or '.join(names)}?" if names else "See all commands: /help",
        )
    command, argument = found[0], argument.strip()
    if not argument and (needed := _NEEDS.get(command.argument)):
        raise UsageError(f"{command.name} needs {needed}.", hint=f"Type: {command.usage}")
    return command, argument


def markdown_table() -> str:
    """Write the table for docs/chat.md."""
    rows = [f"| `{command.usage}` | {command.does} |" for command in COMMANDS]
    keys = [f"| {key} | {does} |" for key, does in KEYS]
    head = ["| command | does |", "| --- | --- |"]
    return "\n".join([*head, *rows, "", "| key | does |", "| --- | --- |", *keys])
