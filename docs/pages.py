"""What the docs show of the tool itself, for cog: help, the model table, a real page."""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path

os.environ["COLUMNS"] = "80"  # help is wrapped to the terminal, and docs have one width
os.environ["QWENPICK_HOME"] = "/nonexistent"  # no measurement of the writer's machine
os.environ.pop("QWENPICK_CATALOG", None)
os.environ.pop("QWENPICK_CONFIG", None)

ROOT = Path(__file__).resolve().parent.parent


def shown(*arguments: str) -> str:
    """Run a command line here, and give what it writes to stdout."""
    from qwenpick.cli.main import main

    written = io.StringIO()
    with contextlib.redirect_stdout(written):
        main(arguments)
    return "\n".join(line.rstrip() for line in written.getvalue().strip().splitlines())


def block(*arguments: str, prompt: str = "") -> str:
    """Give a command and its output as a fenced block."""
    typed = prompt or f"qwenpick {' '.join(arguments)}"
    return f"```\n$ {typed}\n{shown(*arguments)}\n```"


def every_help() -> str:
    """Give the help of every command, a section each."""
    from qwenpick.cli.main import COMMANDS

    sections = [block("--help")]
    sections += [f"### {name}\n\n{block(name, '--help')}" for name in COMMANDS]
    sections.append(f"### engine install\n\n{block('engine', 'install', '--help')}")
    return "\n\n".join(sections)


def commands() -> str:
    """Give every command and its first line of help, as a table."""
    from qwenpick.cli.main import COMMANDS

    rows = ["| command | does |", "| --- | --- |"]
    rows += [f"| `qwenpick {name}` | {summary} |" for name, (_, summary) in COMMANDS.items()]
    return "\n".join(rows)


def models() -> str:
    """Give the four sizes: parameters, the 4-bit file, its memory at 8k and 32k, scores."""
    from qwenpick import units
    from qwenpick.catalog.table import load
    from qwenpick.pick.profile import of_catalog
    from qwenpick.pick.request import Settings, ubatches

    batch = ubatches(repack=False, cards=False)[0]
    rows = [
        "| size | files | Q4_K_M | memory at 8k | at 32k | MMLU-Pro | GPQA Diamond |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for model in load().models:
        file = model.file("Q4_K_M")
        subject = of_catalog(model, file, vision=False)
        short, long = (
            units.memory(subject.memory(Settings(context=tokens, ubatch=batch)).total)
            for tokens in (8192, 32768)
        )
        scores = model.scores
        rows.append(
            f"| {model.size.upper()} | {len(model.files)} | {units.download(file.bytes)} | "
            f"{short} | {long} | {scores['MMLU-Pro']} | {scores['GPQA (Diamond)']} |"
        )
    return "\n".join(rows)
