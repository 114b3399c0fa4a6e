"""--help: every summary is whole at 80 columns, and says what the command itself says."""

from __future__ import annotations

import inspect

import pytest
import typer

from qwenpick.cli.main import COMMANDS, build_cli, main

LONGEST = 45
"""Letters of a summary that are shown whole at 80 columns."""


@pytest.mark.parametrize("name", COMMANDS)
def test_a_summary_is_short_and_the_command_says_the_same(name: str) -> None:
    _, summary = COMMANDS[name]
    assert len(summary) <= LONGEST
    group = typer.main.get_command(build_cli([name]))
    said = inspect.cleandoc(group.commands[name].help).splitlines()[0]  # type: ignore[attr-defined]
    assert said == summary


def test_no_summary_is_cut_off(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert "..." not in shown.partition("Commands:")[2]
    for _, summary in COMMANDS.values():
        assert summary in shown
