"""What each command prints with --json meets the schema in docs/json.md, to the last key."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import engines
import json_schemas
import jsonschema
import pulling
import pytest
from hub_server import Hub
from pulling import FILE, REPO

from qwenpick.cli.main import COMMANDS, main

if TYPE_CHECKING:
    from pathlib import Path


def strict(command: str) -> dict[str, Any]:
    """Give a command's schema, in which no key may stand that it does not name."""
    schema = json_schemas.schema_of(command, json_schemas.documents())
    for part in schema["$defs"].values():
        if part.get("type") == "object" and "properties" in part:
            part["additionalProperties"] = False
    return schema


def check(
    capsys: pytest.CaptureFixture[str],
    *arguments: str,
    codes: tuple[int, ...] = (0,),
    command: str = "",
) -> dict[str, Any]:
    """Run a command with --json, and validate what it prints."""
    capsys.readouterr()
    code = main([*arguments, "--json"])
    output = capsys.readouterr()
    assert code in codes, output.err
    document: dict[str, Any] = json.loads(output.out)
    jsonschema.validate(document, strict(command or arguments[0]))
    return document


def test_every_command_has_a_schema() -> None:
    assert {words.split()[0] for words in json_schemas.documents()} == COMMANDS.keys()


@pytest.mark.parametrize(
    "arguments",
    [
        ("probe",),
        ("recommend",),
        ("recommend", "--all", "--ram", "8G", "--for", "agent"),
        ("recommend", "--gpu", "RTX 3060 12GB", "--vision", "--min-speed", "1"),
        ("guide",),
        ("engine",),
        ("list",),
        ("verify",),
        ("sessions",),
    ],
    ids=" ".join,
)
def test_a_command_that_only_looks(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    assert check(capsys, *arguments)["schema"] == 1


def test_doctor(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert check(capsys, "doctor", codes=(0, 5))["checks"]


def test_pull_list_verify_and_rm(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    with Hub() as hub:
        hub.add(REPO, pulling.model_file(tmp_path / "hub" / FILE))
        hub.start()
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        model = f"{REPO}:Q4_K_M"
        assert check(capsys, "pull", model, "--dry-run")["dry_run"] is True
        assert "dry_run" not in check(capsys, "pull", model)
        hub.shutdown()
    assert len(check(capsys, "list")["files"]) == 1
    assert len(check(capsys, "verify")["files"]) == 1
    assert check(capsys, "rm", model, "--yes")["bytes"] >= 1 << 21


def test_chat_sessions_and_bench(capsys: pytest.CaptureFixture[str]) -> None:
    model = str(engines.tiny())
    quick = ("--threads", "1", "--context", "2k")
    turns = check(capsys, "chat", model, "-p", "one", "-p", "two", "--max-tokens", "4", *quick)
    assert len(turns["turns"]) == 2
    [session] = check(capsys, "sessions")["sessions"]
    removal = ("sessions", "--remove", session["name"], "--yes")
    assert check(capsys, *removal, command="sessions --remove")["removed"] == [session["name"]]
    assert check(capsys, "bench", model, *quick)["tuned"]
