"""Foreign text never drives a terminal, and there is one door through which it gets there."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING

import pexpect
import pytest
import scripted_model
from hypothesis import given
from hypothesis import strategies as st

import qwenpick
from qwenpick import files
from qwenpick.cli.main import main
from qwenpick.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable

HOSTILE = "\x1b]0;owned\x07\x1b]52;c;QUJD\x07\x1b[2J\x9b31m\u202eabc\rover\x08\x00end"
OURS = re.compile(rb"\x1b\[[0-9;]*m")
"""Colours; what is tested here moves no cursor."""
FORBIDDEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@given(st.text())
def test_nothing_is_left_that_drives_a_terminal(text: str) -> None:
    safe = printable(text)
    assert all(unicodedata.category(one) not in {"Cc", "Cs"} or one in "\n\t" for one in safe)
    assert not FORBIDDEN.search(safe)
    assert printable(safe) == safe


@pytest.mark.parametrize("text", ["plain\n\ttext", "naïve 漢字 e\u0301 👩\u200d👧", "עברית"])
def test_good_text_stays_as_it_is(text: str) -> None:
    assert printable(text) == text


def test_there_is_no_other_way_to_a_terminal() -> None:
    root = Path(qwenpick.__file__).parent
    direct = re.compile(r"sys\.(stdout|stderr)\.write")
    found = {
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        if direct.search(path.read_text(encoding="utf-8"))
    }
    assert found == {"cli/output.py"}


@pytest.fixture
def scripted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[[bytes], Path]:
    """Write a model that answers "hi" with given bytes."""

    def write(answer: bytes) -> Path:
        path = scripted_model.write(tmp_path / "probe.gguf", answer, 1)
        assert main(["chat", str(path), "-p", "hi", "--no-save", "--json", *QUICK]) == 0
        (turn,) = json.loads(capsys.readouterr().out)["turns"]
        return scripted_model.write(tmp_path / "model.gguf", answer, turn["prompt_tokens"])

    return write


QUICK = ("--threads", "1", "--context", "1024", "--max-tokens", "200")


def on_a_terminal(*arguments: str) -> str:
    """Run qwenpick on a pseudo-terminal; gives what was written, without our own colours."""
    seen, _ = pexpect.run(
        f"{sys.executable} -m qwenpick " + " ".join(f"'{word}'" for word in arguments),
        withexitstatus=True,
        timeout=90,
    )
    return OURS.sub(b"", seen).decode(errors="replace").replace("\r\n", "\n")


def test_an_answer_is_safe_on_a_terminal_and_exact_in_a_pipe(
    scripted: Callable[[bytes], Path],
) -> None:
    model = str(scripted(HOSTILE.encode()))
    shown = on_a_terminal("chat", model, "-p", "hi", "--no-save", *QUICK)
    assert "abcoverend" in shown
    assert not FORBIDDEN.search(shown)
    command = [sys.executable, "-m", "qwenpick", "chat", model, "-p", "hi", "--no-save", *QUICK]
    piped = subprocess.run(command, capture_output=True, check=True).stdout
    assert piped == HOSTILE.encode() + b"\n"


def test_names_and_titles_are_safe_on_a_terminal(own_home: Path) -> None:
    document = {
        "name": "x", "model": HOSTILE, "label": HOSTILE,
        "messages": [{"role": "user", "content": HOSTILE}], "updated": "2026-11-27T10:00:00+00:00",
    }  # fmt: skip
    files.write(
        own_home / "home" / "sessions" / "x" / "messages.json", json.dumps(document).encode()
    )
    broken = own_home / f"bad{HOSTILE.replace(chr(0), '')}.gguf"
    broken.write_bytes(b"nothing")
    for arguments in (("sessions",), ("chat", str(broken), "-p", "hi"), ("pull", HOSTILE[:-4])):
        words = tuple(word.replace("\x00", "").replace("\r", "") for word in arguments)
        assert not FORBIDDEN.search(on_a_terminal(*words)), arguments
