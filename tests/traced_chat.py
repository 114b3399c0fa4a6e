"""Runs a chat, and writes which files' functions ran in its turns: traced_chat.py FILE OPTION..."""

import inspect
import json
import sys
import threading
from pathlib import Path
from types import CodeType, FrameType

import qwenpick
from qwenpick.cli.chat.terminal import Terminal
from qwenpick.cli.main import main

ROOM = str(Path(qwenpick.__file__).parent)
PROMPT = Terminal._ask.__code__  # noqa: SLF001 - a turn runs from one prompt's end to the next
ran: dict[str, set[str]] = {}
turn: dict[str, set[str]] = {}
asked = [True]


def note(frame: FrameType, event: str, _value: object) -> None:
    """Take a call or a return, in any thread."""
    code: CodeType = frame.f_code
    if code is PROMPT:
        asked[0] = event == "call"
        if asked[0]:  # the turn has ended; what follows /quit is none
            for name, functions in turn.items():
                ran.setdefault(name, set()).update(functions)
            turn.clear()
    elif event == "call" and not asked[0] and code.co_filename.startswith(ROOM):
        name = str(Path(code.co_filename).relative_to(ROOM))
        if code.co_flags & inspect.CO_OPTIMIZED:  # a function: not a module, nor a class's body
            turn.setdefault(name, set()).add(code.co_name)


threading.setprofile(note)
sys.setprofile(note)
main(["chat", *sys.argv[2:]])
sys.setprofile(None)
Path(sys.argv[1]).write_text(json.dumps({name: sorted(ran[name]) for name in ran}, indent=1))
