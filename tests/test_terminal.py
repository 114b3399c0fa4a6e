"""The chat on a real terminal, from the first question to leaving: what is on the screen."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import engines
import pytest
import shapes
from screen import COMMAND, Terminal

from qwenpick.cli.chat import slash_table

if TYPE_CHECKING:
    from collections.abc import Iterator

CHAT = f"{COMMAND} chat demo --temperature 0 --context 4k --seed 1"


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    (tmp_path / "home").mkdir()
    opened = Terminal(tmp_path)
    yield opened
    opened.close()


def say(terminal: Terminal, text: str, *, shows: str, after: str = "") -> str:
    """Type a line at the prompt, and wait for what it shows and for the next prompt."""
    terminal.prompt(after=after)
    terminal.type(text, "Enter")
    terminal.wait(shows, after=after or text)
    return terminal.prompt(after=after)


def interrupt(terminal: Terminal, text: str, *, at: str) -> None:
    """Say something, and press Ctrl-C once the answer has come so far."""
    terminal.prompt()
    terminal.type(text, "Enter")
    terminal.wait(at, after=text)
    terminal.type("", "C-c")
    terminal.wait("stopped", after=text)
    terminal.prompt()


def test_a_session_of_ten_steps(terminal: Terminal, tmp_path: Path) -> None:
    terminal.type(CHAT, "Enter")
    say(terminal, "What is the capital of France? Answer in one sentence.", shows="Paris")  # 1 ask

    terminal.paste("\n".join(f"line {number} of the paste" for number in range(1, 201)))
    terminal.wait("line 200 of the paste")  # 2 two hundred lines, in one message
    terminal.type("", "Enter")
    terminal.wait("thinking off  1,")
    say(terminal, "/context", shows="of 4,096 tokens")

    interrupt(terminal, "Write a very long story about a fox and a bear.", at="fox")  # 3 Ctrl-C
    say(terminal, "/undo", shows="Removed: Write a very long story")  # 4 take it back

    say(terminal, "/clear", shows="New conversation.")
    say(terminal, "/set max-tokens 12", shows="\nmax-tokens 12")
    say(terminal, "Say hello.", shows="token limit reached")
    say(terminal, "/retry", shows="token limit reached")  # 5 again

    say(terminal, "/export talk.md", shows="Written: talk.md")  # 6 export
    say(terminal, "/export talk.json", shows="Written: talk.json")
    assert "## You\n\nSay hello.\n\n## Answer\n" in (tmp_path / "talk.md").read_text("utf-8")
    kept = json.loads((tmp_path / "talk.json").read_text("utf-8"))
    assert [message["role"] for message in kept["messages"]] == ["user", "assistant"]

    terminal.resize(40, 20)  # 7 a narrow one
    seen = say(terminal, "/set", shows="presence-penalty")
    assert max(len(line) for line in seen.splitlines()[-20:]) <= 40
    terminal.resize(80, 30)
    say(terminal, "/sats", shows="Did you mean /stats?")  # 8 a slip

    os.kill(terminal.process(), signal.SIGKILL)  # 9 killed, and taken up again
    back = "\nback:"  # the shell's new prompt, which its own line can't be mistaken for
    terminal.wait("ready:", after="Killed")
    terminal.type("stty sane; PS1=back:; echo", "C-j")
    terminal.wait(back)
    terminal.type(f"{CHAT} --resume", "Enter")
    say(terminal, "/export again.json", shows="Written: again.json", after=back)
    again = json.loads((tmp_path / "again.json").read_text("utf-8"))
    assert again["messages"] == kept["messages"]

    terminal.type("/quit", "Enter")  # 10 leave
    terminal.wait(back, after="> /quit")
    terminal.type("echo left with $?", "Enter")
    terminal.wait("left with 0")


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (40, 12)])
def test_an_answer_that_streams_ends_as_its_markdown(
    terminal: Terminal, columns: int, rows: int
) -> None:
    terminal.resize(columns, rows)
    terminal.type(f"{sys.executable} {Path(__file__).with_name('scripted.py')}", "Enter")
    seen = terminal.wait("The end.\nready:")
    lines = [line.rstrip() for line in seen.splitlines()]
    begin, end = lines.index("thinking, 3 tokens"), lines.index("The end.")
    shown = lines[begin:end]
    assert " name  what it holds" in shown
    assert " 漢字  wide, and \u00e9" in shown  # pyte composes what was e and an accent
    assert "    return f'{x}'" in shown
    assert [line for line in shown if line.startswith((" 1 ", " 2 ", " • "))] == [
        " 1 first", " 2 second", " • one", " • two",
    ]  # fmt: skip
    assert seen.count("Sunlight") == 1, seen
    assert seen.count("thinking,") == 1
    assert "**" not in seen
    assert max(map(len, shown)) <= columns


def test_a_terminal_that_says_no_size_shows_what_is_open() -> None:
    leader, follower = pty.openpty()  # 0 by 0, as a serial line is
    script = Path(__file__).with_name("scripted.py")
    with subprocess.Popen([sys.executable, script], stdout=follower, stderr=follower) as child:
        os.close(follower)
        seen = b""
        with os.fdopen(leader, "rb", buffering=0) as screen, suppress(OSError):  # its end
            while piece := screen.read(65536):
                seen += piece
    assert b"reading, 10 of 20 tokens" in seen
    assert child.returncode == 0


def test_control_c_at_the_prompt_warns_and_then_leaves(terminal: Terminal) -> None:
    terminal.type(f"{CHAT} --no-save", "Enter")
    terminal.prompt()
    terminal.type("half a quest", "C-c")
    terminal.wait("Press Ctrl-C again")
    terminal.type("", "C-c")
    terminal.wait("ready:", times=2)
    terminal.type("echo left with $?", "Enter")
    terminal.wait("left with 0")


def test_sigterm_gives_the_terminal_back(terminal: Terminal) -> None:
    terminal.type(f"{CHAT} --no-save", "Enter")
    terminal.prompt()
    os.kill(terminal.process(), signal.SIGTERM)
    terminal.wait("ready:", times=2)
    terminal.type("echo left with $?; stty -a | grep -c ' echo '", "Enter")
    terminal.wait("left with 143\n1\n")


def test_a_dumb_terminal_gets_plain_text(terminal: Terminal) -> None:
    terminal.type(f"TERM=dumb NO_COLOR=1 {CHAT} --no-save", "Enter")
    terminal.wait("\n>")
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
    terminal.prompt()
    terminal.type("/help", "Enter")
    seen = terminal.wait("Ctrl-T")
    for command in slash_table.COMMANDS:
        assert command.usage in seen
    terminal.type("/expo", "Tab")
    terminal.wait("> /export")


@pytest.mark.parametrize(("kind", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_load_says_how_far_it_is_and_can_be_stopped(
    terminal: Terminal, tmp_path: Path, kind: signal.Signals, code: int
) -> None:
    shapes.write_size(tmp_path / "Qwen3.5-0.8B-Q4_K_M.gguf", "0.8b", "Q4_K_M")
    chat = f"{COMMAND} chat Qwen3.5-0.8B-Q4_K_M.gguf --repack --context 4k --no-save"
    terminal.type(chat, "Enter")
    terminal.wait("Loading Qwen3.5-0.8B Q4_K_M ")
    os.kill(terminal.process(), kind)
    seen = terminal.wait("ready:", times=2)
    assert "Loading" not in seen.partition("--no-save")[2]  # the line is wiped
    assert "Traceback" not in seen
    terminal.type("echo left with $?; stty -a | grep -c ' echo '", "Enter")
    terminal.wait(f"left with {code}\n1\n")


def test_without_a_home_it_says_what_to_set() -> None:
    nobody = ["unshare", "--user", "--map-user=54321"]  # a user that no list of users has
    if not shutil.which("unshare") or subprocess.run([*nobody, "true"], check=False).returncode:
        pytest.skip("needs a user namespace")
    done = subprocess.run(
        [*nobody, *COMMAND.split(), "sessions"],
        env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert done.stderr.splitlines() == [
        "There is no home folder: HOME is not set.",
        "Name a folder for qwenpick's files: QWENPICK_HOME=/some/folder",
    ]


def test_a_model_that_cannot_be_loaded_leaves_the_chat_usable(
    terminal: Terminal, tmp_path: Path
) -> None:
    (tmp_path / "broken.gguf").write_bytes(engines.tiny().read_bytes()[:9000])
    terminal.type(f"{CHAT} --no-save --max-tokens 8", "Enter")
    say(terminal, "/model nosuch", shows="nosuch")
    say(terminal, "/model broken.gguf", shows="broken.gguf is")
    say(terminal, "What is the capital of France? Answer in one word.", shows="Paris")
    leave(terminal)


def test_an_edit_that_is_stopped_leaves_the_message_and_its_answer(
    terminal: Terminal, tmp_path: Path
) -> None:
    terminal.type(CHAT, "Enter")
    say(terminal, "What is the capital of France? Answer in one word.", shows="Paris")
    terminal.type("/edit", "Enter")
    terminal.wait("Answer in one word.", times=2, after="/help")
    terminal.type("", "C-u")
    terminal.type("Write a very long story about a fox and a bear.", "Enter")
    terminal.wait("fox", times=2, after="/edit")
    terminal.type("", "C-c")
    terminal.wait("the last message and its answer are unchanged")
    say(terminal, "/export talk.json", shows="Written: talk.json")
    asked, answered = json.loads((tmp_path / "talk.json").read_text("utf-8"))["messages"]
    assert asked["content"] == "What is the capital of France? Answer in one word."
    assert "Paris" in answered["content"]
    terminal.type("/edit", "Enter")  # and one that is given up before it is sent
    terminal.wait("Answer in one word.", after="Written: talk.json")
    terminal.type("", "C-c")
    terminal.wait("Edit cancelled")
    leave(terminal)


def test_a_chat_that_saves_nothing_leaves_nothing(terminal: Terminal, tmp_path: Path) -> None:
    terminal.type(f"{CHAT} --no-save --max-tokens 32", "Enter")
    turn(terminal, "Say hello.")
    say(terminal, "/save x/y", shows="cannot be the name of a session")
    turn(terminal, "Say it again.")
    leave(terminal)
    assert list((tmp_path / "home").rglob("*")) == []


def test_what_was_attached_waits_for_a_turn_that_succeeds(
    terminal: Terminal, tmp_path: Path
) -> None:
    (tmp_path / "note.txt").write_text("The word is plum.")
    (tmp_path / "long.txt").write_text("The sun " * 4000)
    terminal.type(f"{CHAT} --no-save --max-tokens 8", "Enter")
    say(terminal, "/read note.txt", shows="17 characters")
    terminal.prompt()
    terminal.paste("The sun " * 3000)
    terminal.type("", "Enter")
    terminal.wait("the context has 4,096")
    terminal.prompt()
    turn(terminal, "Which word?")
    say(terminal, "/export talk.json", shows="Written: talk.json")
    asked, _ = json.loads((tmp_path / "talk.json").read_text("utf-8"))["messages"]
    assert asked["content"] == "note.txt:\n\nThe word is plum.\n\nWhich word?"
    leave(terminal)


def test_two_windows_on_one_session_lose_no_turn(terminal: Terminal, tmp_path: Path) -> None:
    terminal.type(f"{CHAT} --max-tokens 8", "Enter")
    turn(terminal, "Say hello.")
    other = Terminal(tmp_path)
    other.type(f"{CHAT} --max-tokens 8 --resume", "Enter")
    other.prompt()
    turn(terminal, "Said in the first.")
    say(other, "Said in the second.", shows="was changed by another qwenpick")
    leave(other)
    other.close()
    leave(terminal)
    saved = {
        path.parent.name: path.read_text("utf-8")
        for path in tmp_path.glob("home/sessions/*/messages.json")
    }
    assert saved.keys() == {"say-hello", "say-hello-2"}
    assert "Said in the first." in saved["say-hello"]
    assert "Said in the second." in saved["say-hello-2"]


def turn(terminal: Terminal, text: str) -> None:
    """Say something, and wait until the answer is there."""
    terminal.prompt()
    terminal.type(text, "Enter")
    terminal.prompt(after=f"> {text}")


def leave(terminal: Terminal) -> None:
    """Leave the chat, and check its exit code."""
    terminal.prompt()
    terminal.type("/quit", "Enter")
    terminal.wait("ready:", after="> /quit")
    terminal.type("echo left with $?", "Enter")
    terminal.wait("left with 0", after="left with $?")
