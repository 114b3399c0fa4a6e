"""What the system refuses: one line that names file and reason, no traceback, exit code 5."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from qwenpick.cli.main import main


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("words", [["recommend", "--json"], ["guide"], ["--help"], ["--version"]])
def test_a_stdout_that_is_full(words: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "qwenpick", *words],
            stdout=full, stderr=subprocess.PIPE, text=True, env=os.environ, check=False,
        )  # fmt: skip
    assert done.returncode == 5
    assert done.stderr.splitlines()[0] == "Cannot write the output: No space left on device."
    assert "Traceback" not in done.stderr


def test_a_file_that_no_room_expects_to_be_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse() -> None:
        raise PermissionError(13, "Permission denied", "/some/file")

    monkeypatch.setattr("qwenpick.hardware.probe.probe", refuse)
    assert main(["probe"]) == 5
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith("Cannot use /some/file: Permission denied.\n")
