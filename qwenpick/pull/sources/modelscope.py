"""ModelScope as a second source: the same files under the same sha256, over its HTTP API.

Addresses and precedence as its own client has them (modelscope_hub 0.5.1, config.py): listing at
/api/v1/models/REPO/repo/files, bytes at /api/v1/models/REPO/repo?Revision=...&FilePath=...
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlencode

from msgspec import Meta, Struct, field

from qwenpick import hub_env
from qwenpick.pull.failures import HubError, host_of
from qwenpick.pull.plan import RemoteFile
from qwenpick.pull.sources import http

if TYPE_CHECKING:
    from collections.abc import Iterator

DEFAULT_REVISION = "master"
_SHA256 = re.compile(r"[0-9a-f]{64}")


class _Entry(Struct, frozen=True, rename="pascal"):
    """A file or folder of a repository."""

    path: Annotated[str, Meta(max_length=4096)]
    type: str = "blob"
    size: Annotated[int, Meta(ge=0, le=1 << 50)] | None = None
    sha256: str | None = None


class _Data(Struct, frozen=True, rename="pascal"):
    """The list in an answer."""

    files: list[_Entry] | None = None


class _Listing(Struct, frozen=True, rename="pascal"):
    """The answer about a repository."""

    data: _Data = field(default_factory=_Data)


class ModelScope:
    """ModelScope at MODELSCOPE_ENDPOINT (or MODELSCOPE_DOMAIN): a `plan.Source`.

    Raises:
        PullError: The variable is not an address.
    """

    name = "modelscope"

    def __init__(self) -> None:
        variable = "MODELSCOPE_ENDPOINT"
        if not os.environ.get(variable):
            variable = "MODELSCOPE_DOMAIN"
        named = os.environ.get(variable) or "modelscope.cn"
        self._endpoint = hub_env.address(variable, named if "://" in named else f"https://{named}")
        self._listed: dict[tuple[str, str], dict[str, _Entry]] = {}

    def names(self, repo: str, revision: str) -> tuple[str, ...]:
        """List the files of a repository."""
        return tuple(self._files(repo, revision))

    def file(self, repo: str, revision: str, name: str) -> RemoteFile:
        """Describe a file: its bytes and its sha256."""
        entry = self._files(repo, revision).get(name)
        if not entry:
            raise HubError(
                f"{host_of(self._endpoint)} has no {repo}/{name}.", hint="Try it from --source hf."
            )
        sha256 = (entry.sha256 or "").casefold()
        return RemoteFile(name=name, commit=revision, etag=sha256, bytes=entry.size, sha256=sha256)

    def open(self, repo: str, file: RemoteFile, offset: int) -> Iterator[bytes]:
        """Give a file's bytes from *offset* on."""
        query = urlencode({"Revision": file.commit, "FilePath": file.name})
        return http.stream(
            f"{self._endpoint}/api/v1/models/{repo}/repo?{query}",
            what=file.name,
            headers={},
            span=(offset, file.bytes or 0),
        )

    def _files(self, repo: str, revision: str) -> dict[str, _Entry]:
        """List what can be checked: files with a sha256."""
        if (repo, revision) not in self._listed:
            query = urlencode({"Revision": revision, "Recursive": "True"})
            url = f"{self._endpoint}/api/v1/models/{repo}/repo/files?{query}"
            answer, _ = http.get(url, _Listing, what=repo, headers={})
            self._listed[repo, revision] = {
                entry.path: entry
                for entry in answer.data.files or ()
                if entry.type != "tree" and _SHA256.fullmatch((entry.sha256 or "").casefold())
            }
        return self._listed[repo, revision]
