"""The files that an interactive turn passes through are those that docs/architecture.md lists."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import engines
import pytest
from screen import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = Path(__file__).parent.parent / "docs" / "architecture.md"
TRACED = Path(__file__).with_name("traced_chat.py")


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    opened = Terminal(tmp_path)
    yield opened
    opened.close()


def test_a_turn_passes_through_the_files_that_the_docs_list(
    terminal: Terminal, tmp_path: Path
) -> None:
    options = (
        "--think --think-budget 4 --context 2048 --threads 1 --max-tokens 12 --temperature 0.5"
    )
    terminal.type(f"{sys.executable} {TRACED} ran.json {engines.tiny()} {options}", "Enter")
    for text in ("hello", "again"):
        terminal.prompt()
        terminal.type(text, "Enter")
        terminal.prompt(after=f"> {text}")
    terminal.prompt()
    terminal.type("/quit", "Enter")
    terminal.wait("ready:", after="/quit")
    ran = json.loads((tmp_path / "ran.json").read_text())
    section = re.search(
        r"<!-- one turn -->\n(.*?)<!-- end of one turn -->", PAGE.read_text("utf-8"), re.DOTALL
    )
    assert section
    listed = re.findall(r"^\| `([\w/.]+)` \|", section[1], re.MULTILINE)
    assert len(listed) <= 14
    assert set(ran) == set(listed), json.dumps(ran, indent=1)
