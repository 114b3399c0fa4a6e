"""A hub on loopback: real HTTP, as huggingface_hub 2.4.0 asks it, with faults to switch on.

    model info    GET  /api/models/OWNER/REPO[/revision/REV]   siblings, with sizes and sha256
    a file        HEAD /OWNER/REPO/resolve/REV/NAME            302 to the store, with X-Linked-*
    mirrors ask   POST /api/models/OWNER/REPO/paths-info/REV
    its bytes     GET  /cdn/SHA256                             ranges
    ModelScope    GET  /api/v1/models/OWNER/REPO/repo[/files]
    chunk store   GET  /api/models/OWNER/REPO/xet-read-token/REV, then chunk_store.py

A fault is a name in `Hub.faults`, met by each request of the kind that it belongs to; as a
script it serves a folder of OWNER/REPO/NAME: python hub_server.py FOLDER [PORT] [--chunked].
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import chunk_store

COMMIT = "c" * 40
_PIECE = 1 << 18


class Hub(ThreadingHTTPServer):
    """Serves files of repositories; counts what it was asked for and what it sent."""

    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.files: dict[str, dict[str, Path]] = {}
        self.sums: dict[Path, str] = {}
        self.faults: set[str] = set()
        self.asked: list[str] = []
        self.sent = 0
        self.chunked = False
        """Whether it says that its files are in the chunk store, too."""
        self.seconds_a_piece = 0.0
        self.times = 0
        """How often a fault that passes has been met."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def add(self, repo: str, path: Path, name: str | None = None) -> str:
        """Offer a file, and give its sha256."""
        self.files.setdefault(repo, {})[name or path.name] = path
        with path.open("rb") as file:
            self.sums[path] = hashlib.file_digest(file, "sha256").hexdigest()
        return self.sums[path]

    def start(self) -> None:
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is what half of the tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        hub = self.server
        hub.asked.append(f"{self.command} {self.path}")
        path = unquote(urlsplit(self.path).path)
        if self._refused(path):
            return
        if path.startswith("/api/v1/models/"):
            self._modelscope(path)
        elif "/xet-read-token/" in path:
            self._door()
        elif path.startswith(("/v1/reconstructions/", "/xorb/")):
            self._chunks(path)
        elif path.startswith("/api/models/"):
            self._info(path.removeprefix("/api/models/"))
        elif path.startswith("/cdn/"):
            self._bytes(next(p for p, s in hub.sums.items() if s == path[5:69]))
        elif "/resolve/" in path:
            self._resolve(path[1:])
        else:
            self._answer(404, b"Not Found")

    def do_POST(self) -> None:
        """Answer paths-info, which mirrors ask: every file, as a tree lists it."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append(f"POST {self.path}")
        repo = "/".join(self.path.removeprefix("/api/models/").split("/")[:2])
        entries = [
            {
                "type": "file",
                "path": name,
                "oid": "0" * 40,
                "size": path.stat().st_size,
                "lfs": {
                    "oid": self.server.sums[path],
                    "size": path.stat().st_size,
                    "pointerSize": 134,
                },
            }
            for name, path in self.server.files.get(repo, {}).items()
        ]
        self._json(entries)

    def log_message(self, *_: object) -> None:
        """Stay silent."""

    def _refused(self, path: str) -> bool:
        """Answer with the error that is switched on, if one is."""
        faults, hub = self.server.faults, self.server
        codes = {
            "401": (401, {}), "403": (403, {}), "gated": (403, {"X-Error-Code": "GatedRepo"}),
            "404-repo": (404, {"X-Error-Code": "RepoNotFound"}),
            "404-file": (404, {"X-Error-Code": "EntryNotFound"}),
            "404-revision": (404, {"X-Error-Code": "RevisionNotFound"}),
            "500": (500, {"Retry-After": "0"}), "503": (503, {"Retry-After": "0"}),
            "429": (429, {"Retry-After": "0"}), "429-long": (429, {"Retry-After": "3600"}),
        }  # fmt: skip
        for fault, (code, headers) in codes.items():
            if fault in faults:
                self._answer(code, b'{"error": "no"}', headers)
                return True
        if "passing" in faults and hub.times < 2:
            hub.times += 1
            self._answer(503, b"", {"Retry-After": "0"})
            return True
        if "loop" in faults:
            self._answer(302, b"", {"Location": self.path})
            return True
        if (
            "private" in faults
            and "/cdn/" not in path
            and self.headers.get("Authorization") != "Bearer hf_secret"
        ):
            self._answer(401, b"", {"X-Error-Code": "RepoNotFound"})
            return True
        if "no-api" in faults and path.startswith("/api/"):
            self._answer(200, b"<html>sign in</html>", {"Content-Type": "text/html"})
            return True
        return False

    def _info(self, rest: str) -> None:
        repo = "/".join(rest.split("/")[:2])
        files = self.server.files.get(repo)
        if files is None:
            self._answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})
            return
        siblings = [
            {
                "rfilename": name,
                "size": path.stat().st_size,
                "blobId": "0" * 40,
                "lfs": {
                    "sha256": self.server.sums[path],
                    "size": path.stat().st_size,
                    "pointerSize": 134,
                },
            }
            for name, path in files.items()
        ]
        self._json({"id": repo, "modelId": repo, "sha": COMMIT, "siblings": siblings, "tags": []})

    def _resolve(self, path: str) -> None:
        repo, _, rest = path.partition("/resolve/")
        name = rest.partition("/")[2]
        file = self.server.files.get(repo, {}).get(name)
        if repo not in self.server.files:
            self._answer(404, b"", {"X-Error-Code": "RepoNotFound"})
        elif file is None:
            self._answer(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
        else:
            sha256 = self.server.sums[file]
            headers = {
                "Location": f"{self.server.url.replace('127.0.0.1', 'localhost')}/cdn/{sha256}?sig",
                "X-Repo-Commit": COMMIT,
                "X-Linked-Etag": f'"{sha256}"',
                "X-Linked-Size": str(file.stat().st_size),
                "ETag": f'"{sha256}"',
            }
            if self.server.chunked:
                token = f"{self.server.url}/api/models/{repo}/xet-read-token/{COMMIT}"
                headers |= {"X-Xet-Hash": sha256, "Link": f'<{token}>; rel="xet-auth"'}
            self._answer(302, b"", headers)

    def _modelscope(self, path: str) -> None:
        query = parse_qs(urlsplit(self.path).query)
        repo = "/".join(path.split("/")[4:6])
        files = self.server.files.get(repo, {})
        if path.endswith("/files"):
            entries = [
                {
                    "Path": name,
                    "Name": name,
                    "Type": "blob",
                    "Size": file.stat().st_size,
                    "Sha256": self.server.sums[file],
                }
                for name, file in files.items()
            ]
            self._json({"Code": 200, "Success": True, "Data": {"Files": entries}})
        else:
            self._bytes(files[query["FilePath"][0]])

    def _door(self) -> None:
        """Say where the chunk store is: to some tools in headers, to others as JSON."""
        until = int(time.time()) + 900
        url = self.server.url
        body = json.dumps({"accessToken": "chunks", "exp": until, "casUrl": url}).encode()
        headers = {"X-Xet-Cas-Url": url, "X-Xet-Access-Token": "chunks"}
        self._answer(200, body, headers | {"X-Xet-Token-Expiration": str(until)})

    def _chunks(self, path: str) -> None:
        """Answer as the chunk store."""
        hub, faults = self.server, self.server.faults
        _, kind, *rest = path.split("/")
        sha256 = rest[-1] if kind == "v1" else rest[0]
        file = next(file for file, known in hub.sums.items() if known == sha256)
        begin, end = (int(at) for at in self.headers["Range"].removeprefix("bytes=").split("-"))
        if "no-chunks" in faults or self.headers.get("Authorization", "").startswith("Bearer hf_"):
            self._answer(403, b"")
            return
        if kind == "v1":
            end = min(end, file.stat().st_size - 1)
            self._json(chunk_store.plan(file, (begin, end), f"{hub.url}/xorb/{sha256}"))
            return
        hub.times += 1
        if "chunks-end" in faults and hub.times > 3:
            self._answer(403, b"")
            return
        self.send_response(206)
        self.send_header("Content-Length", str(end - begin + 1))
        self.end_headers()
        for chunk in chunk_store.chunks(file, int(rest[1]), (begin, end)):
            wrong = chunk[:-1] + bytes([chunk[-1] ^ 1]) if "wrong-chunks" in faults else chunk
            self.wfile.write(wrong)
            hub.sent += len(chunk)
            time.sleep(hub.seconds_a_piece / 4)

    def _bytes(self, path: Path) -> None:
        faults, total = self.server.faults, path.stat().st_size
        begin = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").split("-")[0])
        if "416" in faults:
            self._answer(416, b"", {"Content-Range": f"bytes */{total}"})
            return
        if "dead-end" in faults and begin:
            self._answer(500, b"", {"Retry-After": "0"})
            return
        if "html" in faults:
            self._answer(200, b"<html>sign in</html>", {"Content-Type": "text/html"})
            return
        if "html-plain" in faults:
            self._stream([b"<html>sign in</html>" * 99], 200, {})
            return
        if "no-range" in faults:
            begin = 0
        if "stall" in faults and begin:
            time.sleep(30)
        length = total - begin
        partly = "Range" in self.headers and "no-range" not in faults
        self.send_response(206 if partly else 200)
        if partly:
            shift = 1 if "other-range" in faults else 0
            self.send_header("Content-Range", f"bytes {begin + shift}-{total - 1}/{total}")
        said = length + 7 if "long-length" in faults else length
        self.send_header("Content-Length", str(said))
        self.end_headers()
        if self.command == "HEAD":
            return
        self._send(path, begin, total)

    def _send(self, path: Path, begin: int, total: int) -> None:
        hub, faults = self.server, self.server.faults
        end = total
        if "cut" in faults and hub.times < 3:
            hub.times += 1
            end = begin + (total - begin) // 2
        if "dead-end" in faults:
            end = total // 2
        with path.open("rb") as file:
            file.seek(begin)
            while begin < end:
                piece = file.read(min(_PIECE, end - begin))
                if "wrong" in faults or ("wrong-once" in faults and hub.times < 1):
                    piece = piece[:-1] + bytes([piece[-1] ^ 1])
                self.wfile.write(piece)
                begin += len(piece)
                hub.sent += len(piece)
                time.sleep(hub.seconds_a_piece)
                if "stall" in faults and begin > total // 2:
                    time.sleep(30)
        if "wrong-once" in faults:
            hub.times += 1
        if begin < total:
            self.close_connection = True

    def _stream(self, pieces: list[bytes], code: int, headers: dict[str, str]) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in pieces:
            self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        self.wfile.write(b"0\r\n\r\n")

    def _json(self, document: object) -> None:
        body = json.dumps(document).encode()
        self._answer(200, body, {"Content-Type": "application/json", "X-Repo-Commit": COMMIT})

    def _answer(self, code: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(code)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def main() -> None:
    """Serve a folder, and say where."""
    parser = argparse.ArgumentParser(description="Serve a folder of OWNER/REPO/NAME as a hub.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("port", type=int, nargs="?", default=0)
    parser.add_argument("--chunked", action="store_true", help="offer a chunk store (xet), too")
    options = parser.parse_args()
    hub = Hub(options.port)
    hub.chunked = options.chunked
    for path in sorted(options.folder.glob("*/*/*")):
        hub.add("/".join(path.relative_to(options.folder).parts[:2]), path)
    sys.stdout.write(hub.url + "\n")
    sys.stdout.flush()
    hub.serve_forever()


if __name__ == "__main__":
    main()
