"""Makes docs/transcript.md: a newcomer's first minutes, typed into a real terminal by this script.

    python docs/transcript.py

It needs tmux, and the demo model; what is on the screen at the end is the transcript.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests"))

STEPS = (
    ("qwenpick recommend --ram 8G", "\n$"),
    ("qwenpick chat demo --temperature 0 --context 4k", "Ctrl-D leaves."),
    ("What is the capital of France? Answer in one sentence.", "tok/s"),
    ("/context", "of 4,096 tokens"),
    ("/quit", "\n$"),
)
"""What is typed, and what is then waited for."""


def main() -> None:
    """Write the page."""
    from screen import Terminal

    with tempfile.TemporaryDirectory() as folder:
        os.environ["QWENPICK_HOME"] = os.environ["HF_HOME"] = folder
        terminal = Terminal(Path(folder), rows=60)
        try:
            path = Path(sys.executable).parent
            terminal.type(f"export PATH={path}:$PATH PS1='$ '; clear", "Enter")
            terminal.wait("$")
            for typed, awaited in STEPS:
                before = terminal.screen().count(awaited)
                terminal.type(typed, "Enter")
                terminal.wait(awaited, times=before + 1)
            screen = terminal.screen()
        finally:
            terminal.close()
    shown = [line.rstrip() for line in screen.splitlines() if "clear" not in line]
    block = "\n".join("    " + line if line else "" for line in shown).strip("\n")
    page = "<!-- made by docs/transcript.py -->\n\n" + block.removesuffix("    $").rstrip() + "\n"
    (HERE / "transcript.md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
