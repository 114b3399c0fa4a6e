"""A Hugging Face hub over its HTTP API: lists, describes and gives files.

Not through huggingface_hub, which imports for 0.6 s, takes answers of any size and type, sends the
token to whatever host a listing's next page names, and reports to the hub (docs/decisions.md).
"""

from __future__ import annotations

import re
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

from msgspec import Meta, Struct, field

from qwenpick import hub_env
from qwenpick.pull import failures
from qwenpick.pull.failures import HubError, host_of
from qwenpick.pull.plan import RemoteFile
from qwenpick.pull.sources import http

if TYPE_CHECKING:
    from collections.abc import Iterator

_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_ETAG = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,127}")
"""What a file of the cache may be called: no dot, no slash."""
_NEXT = re.compile(r'<([^<>]+)>\s*;\s*rel="?next"?')
_PAGES = 100

Size = Annotated[int, Meta(ge=0, le=1 << 50)]
Text = Annotated[str, Meta(max_length=4096)]


class _Lfs(Struct, frozen=True):
    """Where a large file's bytes are: `sha256` in a repository, `oid` in a tree."""

    sha256: Text | None = None
    oid: Text | None = None


class _File(Struct, frozen=True):
    """A file: called `rfilename` in a repository, `path` in a tree, which has folders, too."""

    rfilename: Text = ""
    path: Text = ""
    type: Text = "file"
    size: Size | None = None
    lfs: _Lfs | None = None

    def described(self) -> tuple[str, int | None, str | None]:
        """Give its name, bytes, and sha256 where it is one."""
        sha256 = (self.lfs.sha256 or self.lfs.oid or "") if self.lfs else ""
        return (
            self.rfilename or self.path,
            self.size,
            sha256 if _SHA256.fullmatch(sha256) else None,
        )


class _Repository(Struct, frozen=True):
    """The answer about a repository."""

    sha: Text | None = None
    siblings: list[_File] | None = None


class XetAccess(Struct, frozen=True):
    """Where the chunk store is, and a token to it (hub docs, xet/auth)."""

    url: Annotated[str, Meta(pattern=r"\Ahttps?://[!-~]+\Z", max_length=4096)] = field(
        name="casUrl"
    )
    token: Annotated[str, Meta(pattern=r"\A[!-~]+\Z", max_length=65536)] = field(name="accessToken")
    expires: Annotated[int, Meta(ge=0, le=1 << 40)] = field(name="exp")


class HubListing(Struct, frozen=True, kw_only=True):
    """The files of a revision, as far as a hub describes them."""

    commit: str
    files: tuple[tuple[str, int | None, str | None], ...]
    """Name, bytes, sha256."""


class Hub:
    """The hub at HF_ENDPOINT, with HF_TOKEN: a `plan.Source`.

    Raises:
        PullError: A variable of the environment cannot be used.
    """

    name = "hf"

    def __init__(self) -> None:
        self.endpoint = hub_env.endpoint()
        token = hub_env.token()
        self.has_token = bool(token)
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._chunked = not hub_env.xet_disabled() and bool(find_spec("hf_xet"))

    def whoami(self, *, seconds: float) -> int:
        """Ask whose token ours is, and give the status code of the answer.

        Raises:
            HubError: No hub answers.
        """
        url = f"{self.endpoint}/api/whoami-v2"
        return http.status(url, headers=self._headers, seconds=seconds)

    def names(self, repo: str, revision: str) -> tuple[str, ...]:
        """List the files of a repository."""
        return tuple(name for name, _, _ in self.listing(repo, revision).files)

    def listing(self, repo: str, revision: str) -> HubListing:
        """List the files of a repository, and the commit that the revision stands at.

        Raises:
            HubError: By its cause.
        """
        url = f"{self.endpoint}/api/models/{repo}/revision/{quote(revision, safe='')}?blobs=true"
        answer, _ = http.get(url, _Repository, what=repo, headers=self._headers)
        files = [one.described() for one in answer.siblings or ()] or self._tree(repo, revision)
        return HubListing(commit=_commit(answer.sha, url), files=tuple(files))

    def _tree(self, repo: str, revision: str) -> list[tuple[str, int | None, str | None]]:
        """List by the tree, for a mirror that describes a repository without its files."""
        url = f"{self.endpoint}/api/models/{repo}/tree/{quote(revision, safe='')}?recursive=true"
        files: list[tuple[str, int | None, str | None]] = []
        for _ in range(_PAGES):
            entries, headers = http.get(url, list[_File], what=repo, headers=self._headers)
            files += [one.described() for one in entries if one.type == "file"]
            following = _NEXT.search(headers.get("link", ""))
            if not following:
                return files
            if not http.same_origin(following[1], url):
                raise HubError(
                    f"{host_of(url)} continues its list of files on another host: refused.",
                    hint=http.CHECK,
                )
            url = following[1]
        raise HubError(f"{host_of(url)} lists the files of {repo} without an end.", hint=http.CHECK)

    def file(self, repo: str, revision: str, name: str) -> RemoteFile:
        """Describe a file: its commit, its bytes, its sha256."""
        url = self._url(repo, revision, name)
        headers = http.head(url, what=f"{repo}/{name}", headers=self._headers)
        etag = headers.get("x-linked-etag") or headers.get("etag") or ""
        etag = etag.removeprefix("W/").strip('"')
        if not _ETAG.fullmatch(etag):
            raise HubError(f"{host_of(url)} gives {name} no usable etag.", hint=http.CHECK)
        moved = headers["status"].startswith("3")
        length = headers.get("x-linked-size") or (None if moved else headers.get("content-length"))
        chunks = headers.get("x-xet-hash", "")
        return RemoteFile(
            name=name,
            commit=_commit(headers.get("x-repo-commit"), url),
            etag=etag,
            bytes=failures.number(length),
            sha256=etag if _SHA256.fullmatch(etag) else None,
            chunks=chunks if _SHA256.fullmatch(chunks) else None,
        )

    def open(self, repo: str, file: RemoteFile, offset: int) -> Iterator[bytes]:
        """Give a file's bytes from *offset* on: from the chunk store where it is kept there."""
        if file.chunks and self._chunked:
            return self._from_chunks(repo, file, file.chunks, offset)
        return http.stream(
            self._url(repo, file.commit, file.name),
            what=file.name,
            headers=self._headers,
            span=(offset, file.bytes or 0),
        )

    def _from_chunks(self, repo: str, file: RemoteFile, name: str, offset: int) -> Iterator[bytes]:
        """Give bytes from the chunk store; once it gives none, it is not asked again."""
        from qwenpick.pull.sources import xet

        came = False
        try:
            access = self._access(repo, file.commit)
            for piece in xet.stream(access, name, (offset, file.bytes or 0)):
                came = True
                yield piece
        except HubError:
            self._chunked = came
            then = "" if came else " Continuing over plain HTTP."
            raise HubError(
                f"The hub's chunk store (xet) stopped.{then}",
                hint=f"Set HF_HUB_DISABLE_XET=1 to avoid it. {failures.KEPT}",
                retries=failures.MANY,
                wait=0.0,
            ) from None

    def _access(self, repo: str, commit: str) -> XetAccess:
        url = f"{self.endpoint}/api/models/{repo}/xet-read-token/{commit}"
        return http.get(url, XetAccess, what=repo, headers=self._headers)[0]

    def _url(self, repo: str, revision: str, name: str) -> str:
        return f"{self.endpoint}/{repo}/resolve/{quote(revision, safe='')}/{quote(name)}"


def _commit(named: str | None, url: str) -> str:
    """Check the name of a commit, which becomes a folder of the cache.

    Raises:
        HubError: It is not 40 hexadecimal digits.
    """
    if named and _COMMIT.fullmatch(named):
        return named
    raise HubError(f"{host_of(url)} names no commit of 40 hexadecimal digits.", hint=http.CHECK)
