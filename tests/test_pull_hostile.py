"""Hubs that lie: what they send is checked before it is a path, a number or a place for a token."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from qwenpick.errors import PullError
from qwenpick.pull import failures
from qwenpick.pull.sources import http
from qwenpick.pull.sources.hub import Hub
from qwenpick.pull.sources.modelscope import ModelScope

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMIT, SHA256 = "c" * 40, "a" * 64
REPO, FILE = "owner/repo", "x-Q4_K_M.gguf"
GOOD = {"X-Repo-Commit": COMMIT, "ETag": f'"{SHA256}"', "X-Linked-Size": "64"}


class Liar(ThreadingHTTPServer):
    """Answers every path with what a test says, and remembers who asked with a token."""

    daemon_threads = True
    headers: dict[str, str]
    body: bytes | dict[str, Any] | list[Any]

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.headers, self.body = {}, b"{}"
        self.asked: list[tuple[str, dict[str, str]]] = []


class _Handler(BaseHTTPRequestHandler):
    server: Liar

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.server.asked.append((self.path, dict(self.headers)))
        body = self.server.body
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(200)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        if "Content-Length" not in self.server.headers and self.command == "GET":
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@pytest.fixture
def liar(monkeypatch: pytest.MonkeyPatch) -> Iterator[Liar]:
    server = Liar()
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setenv("MODELSCOPE_ENDPOINT", server.url)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    "commit", ["../../../tmp", ".", "..", "a/b/c", "*", "-rf", "C" * 40, "c" * 39, ""]
)
def test_a_commit_that_is_none_is_refused(liar: Liar, commit: str) -> None:
    liar.headers = GOOD | {"X-Repo-Commit": commit}
    with pytest.raises(PullError, match="no commit of 40"):
        Hub().file(REPO, "main", FILE)
    liar.headers, liar.body = {}, {"sha": commit, "siblings": [{"rfilename": FILE}]}
    with pytest.raises(PullError, match="no commit of 40"):
        Hub().listing(REPO, "main")


@pytest.mark.parametrize("etag", ["../x", "..", ".", "", "a/b", "a b", "x" * 200])
def test_an_etag_that_would_be_a_path_is_refused(liar: Liar, etag: str) -> None:
    liar.headers = GOOD | {"ETag": f'"{etag}"'}
    with pytest.raises(PullError, match="no usable etag"):
        Hub().file(REPO, "main", FILE)


@pytest.mark.parametrize("length", ["9" * 5000, "-1", "1e9", "0x40", " "])
def test_a_length_that_is_no_number_is_none(liar: Liar, length: str) -> None:
    liar.headers = GOOD | {"X-Linked-Size": length}
    assert Hub().file(REPO, "main", FILE).bytes is None


@pytest.mark.parametrize("text", ["\u00b2", "\u0661", "9" * 5000, "-1", "", None])
def test_only_ascii_digits_are_a_number(text: str | None) -> None:
    assert failures.number(text) is None
    assert failures.number("0042") == 42


def test_a_sha256_that_is_a_path_is_not_listed(liar: Liar) -> None:
    entries = [
        {"Path": FILE, "Size": 64, "Sha256": "../../" + "a" * 58},
        {"Path": "y.gguf", "Size": 64, "Sha256": "A" * 64},
    ]
    liar.body = {"Data": {"Files": entries}}
    assert ModelScope().names(REPO, "master") == ("y.gguf",)
    assert ModelScope().file(REPO, "master", "y.gguf").etag == SHA256


@pytest.mark.parametrize(
    "body",
    [
        {"siblings": [{"rfilename": 5}]},
        {"siblings": {"a": 1}},
        {"sha": COMMIT, "siblings": [{"rfilename": FILE, "size": 10**30}]},
        {"sha": COMMIT, "siblings": [{"rfilename": FILE, "size": -1}]},
        [],
        b"[" * 200_000,
        b'{"sha": "\\ud800"}',
        b"\xff\xfe",
        b"",
        b"not json",
    ],
)
def test_an_answer_of_another_kind_is_one_error(liar: Liar, body: object) -> None:
    liar.body = body  # type: ignore[assignment]
    with pytest.raises(PullError, match="Unexpected reply"):
        Hub().listing(REPO, "main")


@pytest.mark.parametrize("size", ["x", 10**30, -5])
def test_a_size_of_modelscope_that_is_none_is_one_error(liar: Liar, size: object) -> None:
    liar.body = {"Data": {"Files": [{"Path": FILE, "Size": size, "Sha256": SHA256}]}}
    with pytest.raises(PullError, match="Unexpected reply"):
        ModelScope().names(REPO, "master")


def test_the_next_page_on_another_host_gets_no_token(liar: Liar) -> None:
    elsewhere = liar.url.replace("127.0.0.1", "localhost")
    liar.headers = {"Link": f'<{elsewhere}/next>; rel="next"'}
    liar.body = [{"path": FILE, "size": 64}]
    with pytest.raises(PullError, match="another host"):
        Hub()._tree(REPO, "main")  # noqa: SLF001 - the page that a mirror continues
    assert [path for path, _ in liar.asked if path == "/next"] == []


def test_pages_without_an_end_end(liar: Liar) -> None:
    liar.headers = {"Link": f'<{liar.url}/next>; rel="next"'}
    liar.body = []
    with pytest.raises(PullError, match="without an end"):
        Hub()._tree(REPO, "main")  # noqa: SLF001 - the page that a mirror continues
    assert len(liar.asked) <= 200


def test_a_listing_that_is_too_large_is_not_kept(
    liar: Liar, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gzip

    monkeypatch.setattr(http, "_ANSWER_BYTES", 1 << 20)
    liar.headers, liar.body = {"Content-Encoding": "gzip"}, gzip.compress(bytes(1 << 24))
    with pytest.raises(PullError, match="Unexpected reply"):
        Hub().listing(REPO, "main")


@pytest.mark.parametrize(
    "answer",
    [
        {"casUrl": "local:///tmp", "accessToken": "t", "exp": 5},
        {"casUrl": "../../tmp", "accessToken": "t", "exp": 5},
        {"casUrl": "https://cas.example", "accessToken": "t\n", "exp": 5},
        {"casUrl": "https://cas.example", "accessToken": "t", "exp": -5},
        {"casUrl": "https://cas.example", "accessToken": "t", "exp": 1e300},
    ],
)
def test_a_chunk_store_that_is_a_folder_is_refused(liar: Liar, answer: dict[str, object]) -> None:
    liar.body = answer
    with pytest.raises(PullError, match="Unexpected reply"):
        Hub()._access(REPO, COMMIT)  # noqa: SLF001 - where the chunk store is said to be


def test_nothing_but_the_pull_is_told_to_the_hub(
    liar: Liar, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLAUDECODE", "1")
    monkeypatch.setenv("AI_AGENT", "someone")
    liar.headers, liar.body = GOOD, {"sha": COMMIT, "siblings": [{"rfilename": FILE}]}
    Hub().listing(REPO, "main")
    Hub().file(REPO, "main", FILE)
    assert {path.split("?")[0] for path, _ in liar.asked} == {
        f"/api/models/{REPO}/revision/main",
        f"/{REPO}/resolve/main/{FILE}",
    }
    agents = {headers["User-Agent"] for _, headers in liar.asked}
    assert all(agent.startswith("qwenpick/") and " " not in agent for agent in agents)
