"""The chat on a real terminal, from the first question to leaving: what is on the screen."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from screen import COMMAND, Terminal

from qwenpick.cli import commands

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(not shutil.which("tmux"), reason="looks at the screen with tmux")

CHAT = f"{COMMAND} chat demo --temperature 0 --context 4k --seed 1"


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    (tmp_path / "home").mkdir()
    opened = Terminal(tmp_path)
    yield opened
    opened.close()


def answered(terminal: Terminal) -> str:
    """Wait for the prompt: the toolbar stands under it again."""
    return terminal.wait("thinking off  ")


def test_a_session_of_ten_steps(terminal: Terminal, tmp_path: Path) -> None:  # noqa: PLR0915 - ten steps
    terminal.type(CHAT, "Enter")
    terminal.wait("/help for commands")

    terminal.type("What is the capital of France? Answer in one sentence.", "Enter")  # 1 ask
    terminal.wait("Paris")
    terminal.wait("tok/s")

    lines = "\n".join(f"line {number} of the paste" for number in range(1, 201))
    terminal.paste(lines)  # 2 two hundred lines, in one message
    terminal.wait("line 200 of the paste")
    terminal.type("", "Enter")
    terminal.wait("thinking off  1,")
    terminal.type("/context", "Enter")
    terminal.wait("of 4,096 tokens")

    terminal.type("Write a very long story about a fox and a bear.", "Enter")  # 3 Ctrl-C
    terminal.wait("fox", times=2)
    terminal.type("", "C-c")
    terminal.wait("stopped")

    terminal.type("/undo", "Enter")  # 4 take it back
    terminal.wait("Taken back: Write a very long story")

    terminal.type("/clear", "Enter")
    terminal.wait("A new conversation.")
    terminal.type("/set max-tokens 12", "Enter")
    terminal.wait("max-tokens 12")
    terminal.type("Say hello.", "Enter")
    terminal.wait("no tokens left")
    terminal.type("/retry", "Enter")  # 5 again
    terminal.wait("no tokens left", times=2)

    terminal.type("/export talk.md", "Enter")  # 6 export
    terminal.wait("Written: talk.md")
    terminal.type("/export talk.json", "Enter")
    terminal.wait("Written: talk.json")
    assert "## You\n\nSay hello.\n\n## Answer\n" in (tmp_path / "talk.md").read_text("utf-8")
    kept = json.loads((tmp_path / "talk.json").read_text("utf-8"))
    assert [message["role"] for message in kept["messages"]] == ["user", "assistant"]

    terminal.resize(40, 20)  # 7 a narrow one
    terminal.type("/set", "Enter")
    seen = terminal.wait("presence-penalty")
    assert max(len(line) for line in seen.splitlines()[-20:]) <= 40

    terminal.type("/sats", "Enter")  # 8 a slip
    terminal.wait("Did you mean /stats?")

    os.kill(terminal.process(), signal.SIGKILL)  # 9 killed, and taken up again
    terminal.type("stty sane; echo killed", "C-j")
    terminal.wait("ready:", after="\nkilled\n")
    terminal.type(f"{CHAT} --resume", "Enter")
    terminal.wait("thinking off  ", after="\nkilled\n")
    terminal.type("/export again.json", "Enter")
    terminal.wait("Written: again.json")
    again = json.loads((tmp_path / "again.json").read_text("utf-8"))
    assert again["messages"] == kept["messages"]

    terminal.type("/quit", "Enter")  # 10 leave
    terminal.wait("ready:", times=2, after="\nkilled\n")
    terminal.type("echo left with $?", "Enter")
    terminal.wait("left with 0")


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (40, 12)])
def test_an_answer_that_streams_ends_as_its_markdown(
    terminal: Terminal, columns: int, rows: int
) -> None:
    terminal.resize(columns, rows)
    terminal.type(f"{sys.executable} {Path(__file__).with_name('scripted.py')}", "Enter")
    seen = terminal.wait("ready:", times=2)
    lines = [line.rstrip() for line in seen.splitlines()]
    begin, end = lines.index("thinking, 3 tokens"), lines.index("The end.")
    shown = lines[begin:end]
    assert " name  what it holds" in shown
    assert " 漢字  wide, and e\u0301" in shown
    assert "    return f'{x}'" in shown
    assert [line for line in shown if line.startswith((" 1 ", " 2 ", " • "))] == [
        " 1 first", " 2 second", " • one", " • two",
    ]  # fmt: skip
    assert seen.count("Sunlight") == 1, seen
    assert seen.count("thinking,") == 1
    assert "**" not in seen
    assert max(map(len, shown)) <= columns


def test_control_c_at_the_prompt_warns_and_then_leaves(terminal: Terminal) -> None:
    terminal.type(f"{CHAT} --no-save", "Enter")
    answered(terminal)
    terminal.type("half a quest", "C-c")
    terminal.wait("Ctrl-C again leaves")
    terminal.type("", "C-c")
    terminal.type("echo left with $?", "Enter")
    terminal.wait("left with 0")


def test_sigterm_gives_the_terminal_back(terminal: Terminal) -> None:
    terminal.type(f"{CHAT} --no-save", "Enter")
    answered(terminal)
    os.kill(terminal.process(), signal.SIGTERM)
    terminal.wait("ready:", times=2)
    terminal.type("echo left with $?; stty -a | grep -c ' echo '", "Enter")
    seen = terminal.wait("left with 143")
    assert "left with 143\n1\n" in seen


def test_a_dumb_terminal_gets_plain_text(terminal: Terminal) -> None:
    terminal.type(f"TERM=dumb NO_COLOR=1 {CHAT} --no-save", "Enter")
    terminal.wait("/help for commands")
    terminal.type("What is the capital of France? Answer in one sentence.", "Enter")
    terminal.wait("\n>", times=2)
    assert "The capital of France is Paris." in terminal.screen()
    terminal.type("/quit", "Enter")
    terminal.wait("ready:", times=2)
    terminal.type("echo left with $?", "Enter")
    terminal.wait("left with 0")


def test_every_command_is_in_help_and_completion(terminal: Terminal) -> None:
    terminal.resize(100, 60)
    terminal.type(f"{CHAT} --no-save", "Enter")
    answered(terminal)
    terminal.type("/help", "Enter")
    seen = terminal.wait("Ctrl-T")
    for command in commands.COMMANDS:
        assert command.usage in seen
    terminal.type("/expo", "Tab")
    terminal.wait("> /export")
