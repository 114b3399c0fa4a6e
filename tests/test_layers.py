"""What the import contracts can't hold: who prints, what a start imports."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "qwenpick"
SILENT = ("app", "chat", "engine", "hardware", "pick", "pull", "catalog")
CHILDREN = {"engine/dry_load.py"}
"""Programs of their own, run as a child process: their stdout is how they answer."""
STREAMS = {"stdin", "stdout", "stderr", "__stdin__", "__stdout__", "__stderr__"}
HEAVY = {
    "huggingface_hub", "httpx2", "hf_xet", "llama_cpp", "numpy", "rich", "prompt_toolkit", "PIL",
    "jinja2", "jsonschema", "llguidance", "psutil", "pynvml", "matplotlib", "filelock",
}  # fmt: skip


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def _talk(tree: ast.AST) -> list[int]:
    """Give the lines that touch a person's streams: `sys.stdout`, `from sys import`, `print`."""
    lines = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            found = node.value.id == "sys" and node.attr in STREAMS
        elif isinstance(node, ast.ImportFrom):
            found = node.module == "sys" and bool(STREAMS & {name.name for name in node.names})
        else:
            found = isinstance(node, ast.Name) and node.id in {"print", "input"}
        lines += [getattr(node, "lineno", 0)] if found else []
    return sorted(lines)


def test_no_room_but_the_terminals_prints_or_asks() -> None:
    found = {
        f"{name}:{line}"
        for path in modules()
        if (name := path.relative_to(PACKAGE).as_posix()).startswith(SILENT)
        and name not in CHILDREN
        for line in _talk(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert found == set()


def test_talk_is_found_where_there_is_some() -> None:
    assert _talk(ast.parse("import sys\nsys.stderr.write('x')\nprint()\n")) == [2, 3]
    assert _talk(ast.parse("from sys import stdout")) == [1]


def test_a_room_begins_with_its_docstring_and_nothing_else() -> None:
    for path in PACKAGE.glob("*/**/__init__.py"):
        (only,) = ast.parse(path.read_text(encoding="utf-8")).body
        assert isinstance(only, ast.Expr), path


@pytest.mark.parametrize(
    "words", ["recommend --json", "guide --json", "--help", "chat --help", "probe --json"]
)
def test_a_start_imports_nothing_heavy(words: str) -> None:
    script = (
        "import json, sys; from qwenpick.cli.main import main\n"
        "try: code = main(sys.argv[1:])\n"
        "except SystemExit as ended: code = ended.code\n"
        "json.dump([code, sorted(sys.modules)], sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *words.split()], capture_output=True, text=True, check=True
    )
    code, imported = json.loads(done.stderr)
    assert code == 0
    assert done.stdout
    assert HEAVY & set(imported) == set()
