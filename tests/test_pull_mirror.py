"""A pull through a hub mirror that is not ours: olah, from PyPI, in front of the hub here."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pulling
import pytest
from hub_server import Hub
from pulling import FILE, REPO

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.proof
def test_a_pull_goes_through_a_mirror(tmp_path: Path) -> None:
    binaries = tmp_path / "olah" / "bin"
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "olah"], check=True)
    install = [binaries / "pip", "install", "--quiet", "olah"]
    if subprocess.run(install, check=False, capture_output=True).returncode:
        pytest.skip("olah can't be installed here")
    hub = Hub()
    hub.add(REPO, pulling.model_file(tmp_path / "hub" / FILE, 1 << 23))
    hub.start()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    mirror, upstream = f"127.0.0.1:{port}", hub.url.removeprefix("http://")
    olah = subprocess.Popen(
        [
            binaries / "olah-cli", "--host", "127.0.0.1", "--port", str(port),
            "--hf-scheme", "http", "--hf-netloc", upstream,
            "--hf-lfs-netloc", upstream.replace("127.0.0.1", "localhost"),
            "--mirror-scheme", "http", "--mirror-netloc", mirror, "--mirror-lfs-netloc", mirror,
            "--repos-path", tmp_path / "repos", "--log-path", tmp_path / "logs",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _wait_for(port)
        fetched = []
        for _ in range(2):
            result = pulling.run("pull", f"{REPO}:Q4_K_M", "--json", HF_ENDPOINT=f"http://{mirror}")
            assert result.returncode == 0, result.stderr
            fetched.append(json.loads(result.stdout)["fetched"])
        assert fetched == [1 << 23, 0]
    finally:
        olah.terminate()
        olah.wait()
        hub.shutdown()
        hub.server_close()


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    pytest.fail("the mirror does not start")
