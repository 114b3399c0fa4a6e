"""A pull that meets trouble: every cause has its own line, its next step, and exit code 4.

The hub is a real server on loopback; qwenpick runs as a process, with a token that must never
be seen again.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import ssl
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pulling
import pytest
from hub_server import Hub
from pulling import FILE
from screen import COMMAND, Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator

REPO = "owner/repo"
MODEL = f"{REPO}:Q4_K_M"
TOKEN = "hf_markerthatmustnotbeseen"  # noqa: S105 - what the tests look for
SIZE = 1 << 22


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Start a hub with one file of 4 MiB."""
    hub = Hub()
    hub.add(REPO, pulling.model_file(tmp_path / "hub" / FILE, SIZE))
    hub.start()
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.setenv("HF_HUB_DOWNLOAD_TIMEOUT", "1")
    yield hub
    hub.shutdown()
    hub.server_close()
    for path in (*tmp_path.glob("home/**/*"), *tmp_path.glob("hf/**/*")):
        assert TOKEN.encode() not in (path.read_bytes() if path.is_file() else b"")


def failed(*arguments: str, said: str, **environment: str) -> str:
    """Pull, expect exit code 4 with a cause and a next step, and give what was said."""
    result = pulling.run("pull", *(arguments or (MODEL,)), **environment)
    assert result.returncode == 4, result.stderr
    assert said in result.stderr
    assert not result.stdout
    assert "Traceback" not in result.stderr
    assert TOKEN not in result.stderr
    assert len(result.stderr.strip().splitlines()[-1]) > 10
    return result.stderr


def partial(tmp_path: Path) -> Path | None:
    return next(tmp_path.glob("hf/hub/*/blobs/*.incomplete"), None)


def whole(tmp_path: Path, hub: Hub) -> None:
    """Pull again without trouble: whole, and nothing left over."""
    hub.faults.clear()
    result = pulling.run("pull", MODEL)
    assert result.returncode == 0, result.stderr
    assert Path(result.stdout.strip()).read_bytes() == hub.files[REPO][FILE].read_bytes()
    assert [path.name for path in tmp_path.glob("hf/hub/*/blobs/*")] == [
        hub.sums[hub.files[REPO][FILE]]
    ]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("401", "(401)"),
        ("403", "denies access"),
        ("gated", "is gated"),
        ("404-repo", "has no owner/repo (404)"),
        ("404-revision", "not this revision"),
        ("416", "(416)"),
        ("429", "too many requests"),
        ("429-long", "asks to wait 3600 s"),
        ("500", "it answers 500"),
        ("loop", "in a circle"),
        ("stall", "stopped sending: no byte for 1 s"),
        ("html", "sent a web page in place of"),
        ("html-plain", "not a GGUF file: it starts with <htm"),
        ("no-api", "Unexpected reply"),
        ("long-length", "promised 4,194,304 bytes"),
        ("dead-end", "The connection to"),
        ("wrong", "sends wrong bytes"),
    ],
)
def test_each_trouble_has_its_own_line(fault: str, said: str, hub: Hub, tmp_path: Path) -> None:
    hub.faults.add(fault)
    failed(said=said)
    whole(tmp_path, hub)


def test_a_file_that_is_not_there(hub: Hub) -> None:
    hub.faults.add("404-file")
    failed(f"{REPO}/none.gguf", said="has no file owner/repo/none.gguf")


def test_trouble_that_passes_is_waited_for(hub: Hub) -> None:
    hub.faults.add("passing")
    result = pulling.run("pull", MODEL)
    assert result.returncode == 0
    assert "Trying again" in result.stderr


def test_a_line_that_breaks_is_taken_up_where_it_broke(hub: Hub) -> None:
    hub.faults.add("cut")
    result = pulling.run("pull", MODEL)
    assert result.returncode == 0, result.stderr
    assert hub.sent == SIZE


def test_wrong_bytes_are_set_aside_and_fetched_once_more(hub: Hub, tmp_path: Path) -> None:
    hub.faults.add("wrong-once")
    result = pulling.run("pull", MODEL)
    assert result.returncode == 0, result.stderr
    assert "wrong bytes: moved to" in result.stderr
    assert next(tmp_path.glob("hf/hub/*/set-aside/*")).name.startswith(FILE)


@pytest.mark.parametrize("fault", ["no-range", "other-range", "html", "416", "500"])
def test_trouble_on_the_second_try_costs_nothing_of_the_first(
    fault: str, hub: Hub, tmp_path: Path
) -> None:
    hub.faults.add("dead-end")
    failed(said="The connection to")
    kept = partial(tmp_path)
    assert kept
    assert kept.stat().st_size == SIZE // 2
    hub.faults = {fault}
    if fault != "no-range":
        failed(said="127.0.0.1" if fault == "500" else "")
        assert kept.stat().st_size == SIZE // 2
        sent = hub.sent
        whole(tmp_path, hub)
        assert hub.sent - sent == SIZE // 2
    else:
        assert pulling.run("pull", MODEL).returncode == 0


@pytest.mark.usefixtures("hub")
def test_no_hub_no_address_no_proxy_no_trust(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    failed(said="refuses the connection", HF_ENDPOINT=f"http://127.0.0.1:{port}")
    failed(said="Cannot find", HF_ENDPOINT="http://hub.invalid")
    said = failed(
        said="The proxy 127.0.0.1:1 refuses the connection",
        HF_ENDPOINT="http://hub.invalid",
        HTTP_PROXY=f"http://user:{TOKEN}@127.0.0.1:1",
    )
    assert "HTTPS_PROXY" in said
    with _tls_server(tmp_path) as url:
        failed(said="cannot be trusted", HF_ENDPOINT=url)


@pytest.mark.usefixtures("hub")
def test_offline_says_so_and_uses_what_is_here() -> None:
    failed(said="HF_HUB_OFFLINE is set", HF_HUB_OFFLINE="1")
    there = pulling.run("pull", MODEL)
    again = pulling.run("pull", MODEL, HF_HUB_OFFLINE="1")
    assert (again.returncode, again.stdout) == (0, there.stdout), again.stderr


def test_the_second_source_is_offered_and_taken(hub: Hub) -> None:
    hub.faults.add("500")
    assert "--source modelscope" in failed(said="it answers 500")
    with socket.create_server(("127.0.0.1", 0)) as free:
        gone = f"http://127.0.0.1:{free.getsockname()[1]}"
    hub.faults.clear()
    result = pulling.run("pull", MODEL, "--yes", HF_ENDPOINT=gone, MODELSCOPE_ENDPOINT=hub.url)
    assert result.returncode == 0, result.stderr


def test_a_name_that_leaves_its_folder_is_refused(hub: Hub) -> None:
    hub.files[REPO] = {"../../evil-Q4_K_M.gguf": hub.files[REPO][FILE]}
    failed(said="outside of its folder")
    assert hub.sent == 0


def test_a_private_repository_opens_with_the_token(hub: Hub) -> None:
    hub.faults.add("private")
    failed(said="denies access to owner/repo (401)")
    assert pulling.run("pull", MODEL, HF_TOKEN="hf_secret").returncode == 0  # noqa: S106


@pytest.mark.usefixtures("hub")
def test_a_cache_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    failed(said="Cannot write", HF_HOME=str(tmp_path / "file"))


@pytest.mark.usefixtures("hub")
def test_a_cache_on_a_disk_that_is_only_read(tmp_path: Path) -> None:
    with _mounted(tmp_path / "disk", "ro") as disk:
        said = failed(said="Cannot write to the Hugging Face cache", HF_HOME=str(disk))
    assert "read-only" in said
    assert "HF_HOME" in said


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.usefixtures("hub")
def test_a_cache_whose_rights_are_somebody_else_s(tmp_path: Path, own: bool) -> None:  # noqa: FBT001 - a parameter
    """Root may write everywhere, so it runs without that right of its own."""
    cache = tmp_path / "cache"
    (cache / "hub" if own else cache).mkdir(parents=True)
    (cache / "hub" if own else cache).chmod(0o500)
    without = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]
    if os.geteuid() == 0 and subprocess.run([*without, "true"], check=False).returncode:
        pytest.skip("no way to give up the right to write everywhere")
    result = subprocess.run(
        [*(without if os.geteuid() == 0 else ()), *pulling.command("pull", MODEL)],
        env=os.environ | {"HF_HOME": str(cache)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stdout) == (4, ""), result.stderr
    assert "Cannot write to the Hugging Face cache" in result.stderr
    assert "rights" in result.stderr


def test_a_disk_that_is_too_small_or_fills_up(hub: Hub, tmp_path: Path) -> None:
    with _mounted(tmp_path / "disk", "size=6m") as disk:
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(3 << 20))
        failed(said="Not enough disk space", HF_HOME=str(disk))
        ballast.unlink()
        hub.seconds_a_piece = 0.1
        process = subprocess.Popen(
            pulling.command("pull", MODEL),
            env=os.environ | {"HF_HOME": str(disk)},
            stderr=subprocess.PIPE,
            text=True,
        )
        while not any(path.stat().st_size for path in disk.glob("hub/*/blobs/*.incomplete")):
            time.sleep(0.02)
        ballast.write_bytes(bytes(4 << 20))
        assert "The disk is full" in process.communicate(timeout=60)[1]
        assert process.returncode == 4
        ballast.unlink()
        result = pulling.run("pull", MODEL, HF_HOME=str(disk))
        assert result.returncode == 0, result.stderr
        assert hub.sent < 1.5 * SIZE


def test_a_silent_line_is_seen_on_a_narrow_terminal(hub: Hub, tmp_path: Path) -> None:
    hub.faults.add("stall")
    terminal = Terminal(tmp_path, columns=40)
    try:
        line = f"HF_ENDPOINT={hub.url} HF_HUB_DOWNLOAD_TIMEOUT=6 {COMMAND} pull {MODEL}"
        terminal.type(line, "Enter")
        terminal.wait("no byte for 4 s")
        under_way = terminal.screen()
        terminal.wait("command again to continue")
    finally:
        shown = terminal.screen()
        terminal.close()
    assert under_way.count("no byte for") == 1, under_way  # written over, never below itself
    assert "of 4 MB" not in shown
    assert shown.count("stopped sending") == 2, shown


def test_two_at_once_fetch_once(hub: Hub) -> None:
    hub.seconds_a_piece = 0.1
    both = [
        subprocess.Popen(
            pulling.command("pull", MODEL), stdout=-1, stderr=-1, text=True, env=os.environ
        )
        for _ in range(2)
    ]
    talks = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert talks[0][0] == talks[1][0]
    assert any("Another process is downloading" in err for _, err in talks)
    assert hub.sent == SIZE


def kill_and_go_on(hub: Hub, tmp_path: Path, *, times: int, seed: int, size: int) -> None:
    """Kill one pull again and again, then let it end: whole, little fetched twice."""
    hub.add(REPO, pulling.model_file(tmp_path / "hub" / FILE, size))
    hub.seconds_a_piece = 0.02
    moments = random.Random(seed)  # noqa: S311 - any moments will do
    for _ in range(times):
        process = subprocess.Popen(
            pulling.command("pull", MODEL), stdout=-3, stderr=-3, env=os.environ
        )
        begun = hub.sent
        deadline = time.monotonic() + 10
        until = begun + moments.randrange(size // (times + 2))
        while process.poll() is None and hub.sent <= until and time.monotonic() < deadline:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
    hub.seconds_a_piece = 0
    whole(tmp_path, hub)
    assert hub.sent <= 1.3 * size


def test_a_killed_pull_goes_on(hub: Hub, tmp_path: Path) -> None:
    kill_and_go_on(hub, tmp_path, times=3, seed=1, size=16 << 20)


@pytest.mark.proof
def test_a_pull_killed_twenty_times_goes_on(hub: Hub, tmp_path: Path) -> None:
    kill_and_go_on(hub, tmp_path, times=20, seed=2, size=64 << 20)


@contextlib.contextmanager
def _mounted(place: Path, options: str) -> Iterator[Path]:
    """Mount a small disk of its own."""
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("no right to mount a disk")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


class _tls_server:  # noqa: N801 - used as a function
    """A server whose certificate nobody vouches for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> str:
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost",
             "-keyout", "key.pem", "-out", "cert.pem"],
            cwd=self.folder, check=True, capture_output=True,
        )  # fmt: skip
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / "cert.pem", self.folder / "key.pem")
        self.hub = Hub()
        self.hub.socket = context.wrap_socket(self.hub.socket, server_side=True)
        threading.Thread(target=self.hub.serve_forever, args=(0.05,), daemon=True).start()
        return self.hub.url.replace("http:", "https:").replace("127.0.0.1", "localhost")

    def __exit__(self, *_: object) -> None:
        self.hub.shutdown()
        self.hub.server_close()
