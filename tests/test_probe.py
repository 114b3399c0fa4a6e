"""`probe` by the front door, on this machine as it is."""

from __future__ import annotations

import getpass
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from msgspec import convert

from qwenpick.cli.main import main
from qwenpick.hardware.machine import Machine
from qwenpick.hardware.probe import probe
from qwenpick.hardware.system_reader import SystemReader

if TYPE_CHECKING:
    from collections.abc import Iterator

GIB = 1 << 30
CGROUPS = Path("/sys/fs/cgroup")
PROBE = [sys.executable, "-m", "qwenpick", "probe", "--json"]
MACHINES = sorted(Path(__file__).with_name("machines").glob("*.json"))


def test_the_document_has_the_contracts_keys(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["probe", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found) == [
        "schema", "os", "arch", "cpu", "memory", "gpus", "disk", "engine", "notes",
    ]  # fmt: skip
    assert found["schema"] == 1
    assert 0 < found["memory"]["available"] <= found["memory"]["total"]
    assert 1 <= found["cpu"]["usable_threads"] <= (os.cpu_count() or 1)
    assert found["engine"]["installed"]
    assert "cpu" in found["engine"]["backends"]
    assert convert(found, Machine) == convert(json.loads(json.dumps(found)), Machine)


def test_the_page_can_be_pasted(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["probe"]) == 0
    page = capsys.readouterr().out
    assert all(len(line) <= 80 for line in page.splitlines())
    assert socket.gethostname() not in page.split()
    assert f"/home/{getpass.getuser()}" not in page
    for word in ("Processor", "Memory", "GPU", "Disk", "Engine"):
        assert word in page


@pytest.mark.parametrize(
    ("environment", "path"),
    [
        ({"HF_HUB_CACHE": "/a"}, "/a"),
        ({"HF_HOME": "/b"}, "/b/hub"),
        ({"XDG_CACHE_HOME": "/c"}, "/c/huggingface/hub"),
        ({"HF_HOME": "$PLACE/d"}, "/place/d/hub"),
        ({}, str(Path("~/.cache/huggingface/hub").expanduser())),
    ],
)
def test_the_disk_is_where_downloads_go(
    environment: dict[str, str], path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLACE", "/place")
    disk = probe(SystemReader(environment=environment)).disk
    assert disk.path == path
    assert disk.free is not None


def test_nothing_is_written(own_home: Path) -> None:
    assert main(["probe"]) == 0
    assert list(own_home.iterdir()) == []


@pytest.mark.parametrize("path", MACHINES, ids=lambda path: path.stem)
def test_a_machine_file_is_a_probe_and_says_where_it_is_from(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = json.loads(path.read_text())
    source = document.pop("source")
    assert source.startswith(("Imagined, after: ", "Real: "))
    assert {"schema": 1} | convert(document, Machine).to_json() == json.loads(
        json.dumps(document), object_hook=_tuples
    )
    assert main(["recommend", "--machine", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pick"]["size"] in {"0.8b", "2b", "4b", "9b"}


def _tuples(table: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}


@pytest.fixture
def group(request: pytest.FixtureRequest) -> Iterator[Path]:
    """Make a control group (v1) of the controller that the test names, and take it away again."""
    folder = CGROUPS / request.param / f"qwenpick-test-{os.getpid()}"
    try:
        folder.mkdir()
    except OSError:
        pytest.skip(f"no control group of {request.param} can be made here")
    yield folder
    folder.rmdir()


def inside(group: Path, command: list[str]) -> dict[str, Any]:
    """Run a command in a group, and read what it prints."""
    line = f'echo $$ > {group}/cgroup.procs && exec "$@"'
    done = subprocess.run(["sh", "-c", line, "sh", *command], capture_output=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize("group", ["memory"], indirect=True)
def test_a_real_limit_of_memory(group: Path) -> None:
    (group / "memory.limit_in_bytes").write_text(str(2 * GIB))
    memory = inside(group, PROBE)["memory"]
    assert memory["limit"] == 2 * GIB
    assert 1.9 * GIB < memory["available"] <= 2 * GIB
    assert "cgroup v1" in memory["limit_source"]
    pick = inside(group, [sys.executable, "-m", "qwenpick", "recommend", "--json"])["pick"]
    assert pick["memory"]["total"] <= 2 * GIB


@pytest.mark.parametrize("group", ["cpu"], indirect=True)
def test_a_real_quota_of_one_core(group: Path) -> None:
    (group / "cpu.cfs_period_us").write_text("100000")
    (group / "cpu.cfs_quota_us").write_text("100000")
    cpu = inside(group, PROBE)["cpu"]
    assert (cpu["quota"], cpu["usable_threads"]) == (1.0, 1)


@pytest.mark.skipif(shutil.which("taskset") is None, reason="needs taskset")
def test_a_real_affinity_of_one_core() -> None:
    done = subprocess.run(["taskset", "-c", "0", *PROBE], capture_output=True, check=True)
    assert json.loads(done.stdout)["cpu"]["usable_threads"] == 1
