"""The hub, through its own library: lists, describes and gives files. The only file with it."""

from __future__ import annotations

import os
import re
from importlib.util import find_spec
from typing import TYPE_CHECKING

import httpx2
from huggingface_hub import (
    HfApi,
    constants,
    get_hf_file_metadata,
    get_session,
    get_token,
    hf_hub_url,
)
from huggingface_hub.errors import FileMetadataError
from huggingface_hub.hf_api import RepoFile, RepoSibling
from huggingface_hub.utils import logging
from huggingface_hub.utils._headers import build_hf_headers

from qwenpick import __version__
from qwenpick.pull import failures
from qwenpick.pull.failures import HubError, host_of
from qwenpick.pull.plan import RemoteFile
from qwenpick.pull.sources import http

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import NoReturn

    from qwenpick.pull.sources.xet import XetAccess

_ERROR = 40  # logging.ERROR: what the library warns of, we say ourselves
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Hub:
    """The hub at HF_ENDPOINT, with HF_TOKEN: a `plan.Source`."""

    name = "hf"

    def __init__(self) -> None:
        logging.set_verbosity(_ERROR)
        self._endpoint = (os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/")
        self._chunked = not constants.HF_HUB_DISABLE_XET and bool(find_spec("hf_xet"))

    @property
    def endpoint(self) -> str:
        """Its address."""
        return self._endpoint

    @property
    def has_token(self) -> bool:
        """Whether there is a token to send."""
        return bool(get_token())

    def whoami(self, *, seconds: float) -> int:
        """Ask whose token ours is, and give the status code of the answer.

        Raises:
            HubError: No hub answers.
        """
        url = f"{self._endpoint}/api/whoami-v2"
        return http.status(get_session(), url, headers=self._headers(), seconds=seconds)

    def names(self, repo: str, revision: str) -> tuple[str, ...]:
        """List the files of a repository."""
        return tuple(name for name, _, _ in self.listing(repo, revision)[1])

    def listing(
        self, repo: str, revision: str
    ) -> tuple[str, tuple[tuple[str, int | None, str | None], ...]]:
        """Give the commit, and each file's name, bytes and sha256 where the hub says them."""
        http.check_line()
        api = HfApi(endpoint=self._endpoint, library_name="qwenpick", library_version=__version__)
        try:
            info = api.model_info(
                repo, revision=revision, files_metadata=True, timeout=http.stall_seconds()
            )
            entries = info.siblings or self._tree(api, repo, revision)
        except (httpx2.HTTPError, ValueError, KeyError, TypeError) as error:
            self._fail(error, repo)
        files = (
            (entry.rfilename, entry.size, entry.lfs.sha256 if entry.lfs else None)
            for entry in entries
        )
        return info.sha or revision, tuple(files)

    def _tree(self, api: HfApi, repo: str, revision: str) -> list[RepoSibling]:
        """List by the tree, for a mirror that describes a repository without its files."""
        return [
            RepoSibling(rfilename=entry.path, size=entry.size)
            for entry in api.list_repo_tree(repo, revision=revision, recursive=True)
            if isinstance(entry, RepoFile)
        ]

    def file(self, repo: str, revision: str, name: str) -> RemoteFile:
        """Describe a file: its commit, its bytes, its sha256."""
        http.check_line()
        url = self._url(repo, revision, name)
        try:
            facts = get_hf_file_metadata(
                url,
                headers=self._headers(),
                endpoint=self._endpoint,
                timeout=http.stall_seconds(),
            )
        except (httpx2.HTTPError, FileMetadataError, ValueError) as error:
            self._fail(error, f"{repo}/{name}")
        etag = facts.etag or ""
        if not re.fullmatch(r"[\w.-]{1,128}", etag) or not facts.commit_hash:
            raise HubError(
                f"{host_of(url)} does not answer as a hub does: no commit or etag.",
                hint="Check HF_ENDPOINT, and whether a login page of the network answers.",
            )
        return RemoteFile(
            name=name,
            commit=facts.commit_hash,
            etag=etag,
            bytes=facts.size,
            sha256=etag if _SHA256.fullmatch(etag) else None,
            chunks=facts.xet_file_data.file_hash if facts.xet_file_data else None,
        )

    def open(self, repo: str, file: RemoteFile, offset: int) -> Iterator[bytes]:
        """Give a file's bytes from *offset* on: from the chunk store where it is kept there."""
        if file.bytes is None:
            raise HubError(f"The hub does not say how long {file.name} is.", hint="Try a mirror.")
        if file.chunks and self._chunked:
            return self._from_chunks(repo, file, file.chunks, offset)
        return http.stream(
            get_session(),
            self._url(repo, file.commit, file.name),
            what=file.name,
            headers=self._headers(),
            span=(offset, file.bytes),
        )

    def _from_chunks(self, repo: str, file: RemoteFile, name: str, offset: int) -> Iterator[bytes]:
        """Give bytes from the chunk store; once it gives none, it is not asked again."""
        from qwenpick.pull.sources import xet

        came = False
        try:
            door = self._door(repo, file.commit)
            for piece in xet.stream(door, name, (offset, file.bytes or 0)):
                came = True
                yield piece
        except HubError:
            self._chunked = came
            then = "" if came else " Going on over plain HTTP."
            raise HubError(
                f"The hub's chunk store (xet) broke off.{then}",
                hint=f"Set HF_HUB_DISABLE_XET=1 to go without it. {failures.KEPT}",
                retries=failures.MANY,
                wait=0.0,
            ) from None

    def _door(self, repo: str, commit: str) -> XetAccess:
        """Ask the hub where its chunk store is, and for a token to it (hub docs, xet/auth)."""
        from qwenpick.pull.sources.xet import XetAccess

        url = f"{self._endpoint}/api/models/{repo}/xet-read-token/{commit}"
        answer = http.ask(get_session(), url, what=repo, headers=self._headers())
        try:
            return XetAccess(
                endpoint=str(answer["casUrl"]),  # type: ignore[index]
                token=str(answer["accessToken"]),  # type: ignore[index]
                expires=int(answer["exp"]),  # type: ignore[index]
            )
        except (KeyError, TypeError, ValueError) as error:
            self._fail(error, repo)

    def _url(self, repo: str, revision: str, name: str) -> str:
        return hf_hub_url(repo, name, revision=revision, endpoint=self._endpoint)

    def _headers(self) -> dict[str, str]:
        headers: dict[str, str] = build_hf_headers(
            library_name="qwenpick", library_version=__version__
        )
        return headers

    def _fail(self, error: Exception, what: str) -> NoReturn:
        raise http.cause(error, self._endpoint, what=what) from None
