"""A pull of a file that the hub keeps in its chunk store (xet), with the store's own client."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pulling
import pytest
from hub_server import Hub
from pulling import FILE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REPO = "owner/repo"
MODEL = f"{REPO}:Q4_K_M"
SIZE = 9 << 20
TOKEN = "hf_markerthatmustnotbeseen"  # noqa: S105 - what the tests look for


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Start a hub with one file of 9 MiB, in chunks, too."""
    hub = Hub()
    hub.chunked = True
    hub.add(REPO, pulling.model_file(tmp_path / "hub" / FILE, SIZE))
    hub.start()
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    yield hub
    hub.shutdown()
    hub.server_close()
    for path in (*tmp_path.glob("home/**/*"), *tmp_path.glob("hf/**/*")):
        assert TOKEN.encode() not in (path.read_bytes() if path.is_file() else b"")


def whole(hub: Hub, tmp_path: Path, **environment: str) -> tuple[int, str]:
    """Pull, expect the whole file and nothing else, and give the bytes fetched and the talk."""
    result = pulling.run("pull", MODEL, "--json", **environment)
    assert result.returncode == 0, result.stderr
    document = json.loads(result.stdout)
    assert document["sha256"] == hub.sums[hub.files[REPO][FILE]]
    assert [path.name for path in tmp_path.glob("hf/hub/*/blobs/*")] == [document["sha256"]]
    return document["fetched"], result.stderr


def asked(hub: Hub, kind: str) -> int:
    return sum(kind in line for line in hub.asked)


def test_a_file_of_the_chunk_store_comes_from_there(hub: Hub, tmp_path: Path) -> None:
    fetched, talk = whole(hub, tmp_path)
    assert fetched == SIZE
    assert "checked: sha256" in talk
    assert asked(hub, "/xorb/")
    assert not asked(hub, "/cdn/")
    assert not asked(hub, "telemetry")


def test_the_library_s_own_switch_leaves_the_store_out(hub: Hub, tmp_path: Path) -> None:
    whole(hub, tmp_path, HF_HUB_DISABLE_XET="1")
    assert not asked(hub, "/xorb/")


def test_a_store_that_refuses_costs_nothing_but_a_line(hub: Hub, tmp_path: Path) -> None:
    hub.faults.add("no-chunks")
    fetched, talk = whole(hub, tmp_path)
    assert fetched == SIZE
    assert "Continuing over plain HTTP" in talk


def test_what_the_store_gave_before_it_broke_is_kept(hub: Hub, tmp_path: Path) -> None:
    hub.faults.add("chunks-end")
    fetched, talk = whole(hub, tmp_path)
    assert fetched == SIZE
    assert "stopped" in talk
    assert asked(hub, "/cdn/")
    assert hub.sent < 1.3 * SIZE


def test_wrong_bytes_of_the_store_are_fetched_again_over_http(hub: Hub) -> None:
    hub.faults.add("wrong-chunks")
    result = pulling.run("pull", MODEL, "--json")
    assert result.returncode == 0, result.stderr
    assert "wrong bytes: moved to" in result.stderr
    assert asked(hub, "/cdn/")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_stop_keeps_what_came_and_the_next_pull_goes_on(
    how: signal.Signals, hub: Hub, tmp_path: Path
) -> None:
    hub.seconds_a_piece = 2.0  # so long that it is stopped in the middle
    process = subprocess.Popen(pulling.command("pull", MODEL), stdout=-3, stderr=-3, env=os.environ)
    parts = tmp_path / "hf" / "hub"
    while not any(path.stat().st_size for path in parts.glob("*/blobs/*.incomplete")):
        time.sleep(0.02)
    process.send_signal(how)
    assert process.wait(timeout=60) in {130, 143, -signal.SIGKILL}
    kept = next(parts.glob("*/blobs/*.incomplete")).stat().st_size
    hub.seconds_a_piece = 0.0
    fetched, _ = whole(hub, tmp_path)
    assert kept + fetched == SIZE


@pytest.mark.proof
def test_twenty_kills_over_the_store(hub: Hub, tmp_path: Path) -> None:
    size = 64 << 20
    hub.add(REPO, pulling.model_file(tmp_path / "hub" / FILE, size))
    hub.seconds_a_piece = 0.01
    moments = random.Random(3)  # noqa: S311 - any moments will do
    for _ in range(20):
        process = subprocess.Popen(
            pulling.command("pull", MODEL), stdout=-3, stderr=-3, env=os.environ
        )
        until = hub.sent + moments.randrange(size // 22)
        while process.poll() is None and hub.sent <= until:
            time.sleep(0.005)
        process.kill()
        process.wait()
    hub.seconds_a_piece = 0.0
    whole(hub, tmp_path)
    assert hub.sent <= 1.3 * size
