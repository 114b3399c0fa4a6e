"""ModelScope as a second source: the same files under the same sha256, over its HTTP API.

Addresses and precedence as its own client has them (modelscope_hub 0.5.1, config.py): listing at
/api/v1/models/REPO/repo/files, bytes at /api/v1/models/REPO/repo?Revision=...&FilePath=...
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from qwenpick.pull.failures import HubError, host_of
from qwenpick.pull.plan import RemoteFile
from qwenpick.pull.sources import http

if TYPE_CHECKING:
    from collections.abc import Iterator

DEFAULT_REVISION = "master"


class ModelScope:
    """ModelScope at MODELSCOPE_ENDPOINT (or MODELSCOPE_DOMAIN): a `plan.Source`."""

    name = "modelscope"

    def __init__(self) -> None:
        named = os.environ.get("MODELSCOPE_ENDPOINT") or os.environ.get("MODELSCOPE_DOMAIN")
        endpoint = (named or "modelscope.cn").rstrip("/")
        self._endpoint = endpoint if "://" in endpoint else f"https://{endpoint}"
        self._listed: dict[tuple[str, str], list[dict[str, Any]]] = {}

    def names(self, repo: str, revision: str) -> tuple[str, ...]:
        """List the files of a repository."""
        return tuple(str(entry["Path"]) for entry in self._files(repo, revision))

    def file(self, repo: str, revision: str, name: str) -> RemoteFile:
        """Describe a file: its bytes and its sha256."""
        for entry in self._files(repo, revision):
            if entry["Path"] == name:
                sha256 = str(entry.get("Sha256") or "").casefold()
                return RemoteFile(
                    name=name,
                    commit=revision,
                    etag=sha256,
                    bytes=int(entry["Size"]),
                    sha256=sha256,
                )
        raise HubError(
            f"{host_of(self._endpoint)} has no {repo}/{name}.", hint="Try it from --source hf."
        )

    def open(self, repo: str, file: RemoteFile, offset: int) -> Iterator[bytes]:
        """Give a file's bytes from *offset* on."""
        query = urlencode({"Revision": file.commit, "FilePath": file.name})
        return http.stream(
            _client(),
            f"{self._endpoint}/api/v1/models/{repo}/repo?{query}",
            what=file.name,
            headers={},
            span=(offset, file.bytes or 0),
        )

    def _files(self, repo: str, revision: str) -> list[dict[str, Any]]:
        if (repo, revision) not in self._listed:
            query = urlencode({"Revision": revision, "Recursive": "True"})
            url = f"{self._endpoint}/api/v1/models/{repo}/repo/files?{query}"
            answer = http.ask(_client(), url, what=repo, headers={})
            try:
                files = [
                    entry
                    for entry in answer["Data"]["Files"]  # type: ignore[index]
                    if entry.get("Type") != "tree" and len(str(entry.get("Sha256") or "")) == 64  # noqa: PLR2004 - hex digits of a sha256
                ]
            except (KeyError, TypeError, AttributeError):
                raise http.cause(ValueError(), url, what=repo) from None
            self._listed[repo, revision] = files
        return self._listed[repo, revision]


def _client() -> Any:  # noqa: ANN401 - the hub library's client, which obeys proxies
    from huggingface_hub import get_session

    return get_session()
