"""The chat's commands: one table, and every one of them does something."""

from __future__ import annotations

from pathlib import Path

import pytest

from qwenpick.cli.chat import slash_table
from qwenpick.cli.chat.slash import Slash
from qwenpick.errors import UsageError

CHAT_PAGE = Path(__file__).parent.parent / "docs" / "chat.md"


def test_every_command_is_done_by_a_method_and_stands_in_the_docs() -> None:
    page = CHAT_PAGE.read_text(encoding="utf-8")
    for command in slash_table.COMMANDS:
        assert callable(getattr(Slash, "_" + command.name[1:]))
        assert f"| `{command.usage}` | {command.does} |" in page


@pytest.mark.parametrize(
    ("line", "name", "argument"),
    [
        ("/help", "/help", ""),
        ("/HELP", "/help", ""),
        ("/q", "/quit", ""),
        ("/read  my notes.txt ", "/read", "my notes.txt"),
        ("/system You are brief.", "/system", "You are brief."),
    ],
)
def test_a_line_is_read(line: str, name: str, argument: str) -> None:
    command, rest = slash_table.find(line)
    assert (command.name, rest) == (name, argument)


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("/retyr", "/retry"),
        ("/se", "/set or /sessions"),
        ("/xyzzy", "/help"),
        ("/read", "/read FILE"),
    ],
)
def test_a_slip_is_answered_with_what_is_nearest(line: str, hint: str) -> None:
    with pytest.raises(UsageError) as error:
        slash_table.find(line)
    assert hint in error.value.hint
