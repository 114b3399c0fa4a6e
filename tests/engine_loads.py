"""Loads many files in a child process, and says how each ended.

A child that dies took only itself with it: the next one goes on after the file it died on.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

_CHILD = """
import json, sys
from pathlib import Path
from qwenpick.errors import QwenpickError
from qwenpick.pick.request import Settings
from qwenpick.pull.gguf.model_file import read_model
from qwenpick.engine.engine import Engine
from qwenpick.engine.arguments import arguments
for name in sys.stdin.read().split():
    try:
        read_model(Path(name))
        engine = Engine(Path(name), arguments(Settings(context=256, ubatch=64)))
        engine.read(engine.tokens("Why is the sky blue?"), 0, logits=True)
        engine.logits()
        engine.close()
        end = "read"
    except QwenpickError as error:
        end = f"{error.exit_code} {error.message}"
    print(json.dumps([name, end]), flush=True)
"""


def ends(paths: list[Path]) -> dict[Path, str]:
    """Say of each file: `read`, the exit code and message that refused it, or `died`."""
    found: dict[Path, str] = {}
    while len(found) < len(paths):
        left = [path for path in paths if path not in found]
        child = subprocess.run(
            [sys.executable, "-c", _CHILD],
            input="\n".join(map(str, left)),
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"GGML_NO_BACKTRACE": "1"},
        )
        said = [json.loads(line) for line in child.stdout.splitlines()]
        found |= {Path(name): end for name, end in said}
        if child.returncode and len(said) < len(left):
            found[left[len(said)]] = f"died ({child.returncode}): {child.stderr[-400:]}"
    return found
