"""Downloads one file's bytes into the hub cache: resumed after any stop, complete or not at all.

One partial file a blob, locked as the hub's own tools lock it, hashed while it grows. What is on
disk is hashed again when a try goes on, so a killed one costs a reading and no byte of the line.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from msgspec.structs import replace

from qwenpick import files
from qwenpick.errors import PullError
from qwenpick.pull import cache, digests
from qwenpick.pull.failures import ELSEWHERE, KEPT, MANY, HubError
from qwenpick.pull.retry import Backoff

if TYPE_CHECKING:
    from pathlib import Path

    from qwenpick.pull.plan import Progress, RemoteFile, Source

_BLOCK = 1 << 20
_MAGIC = b"GGUF"


class _Partial:
    """A file under way, and the sha256 of what it has so far."""

    def __init__(self, path: Path, total: int) -> None:
        self.path = path
        self.digest = hashlib.sha256()
        self.done = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(path) and (path.is_symlink() or not path.is_file()):
            path.unlink()  # a pipe would never end, and a link's target is not ours
        self.file = path.open("a+b", buffering=0)
        if path.stat().st_size > total:
            self.file.truncate(0)
        self.file.seek(0)
        while block := self.file.read(_BLOCK):
            self._count(block)

    def write(self, chunk: bytes) -> None:
        view = memoryview(chunk)
        while view:
            # A disk that fills up takes a part first, and refuses at the next call.
            written = self.file.write(view)
            self._count(view[:written])
            view = view[written:]

    def _count(self, data: bytes | memoryview) -> None:
        self.digest.update(data)
        self.done += len(data)


def fetch(repo: str, remote: RemoteFile, source: Source, progress: Progress) -> int:
    """Download a file's bytes to their place in the hub cache, and give how many those were.

    Raises:
        PullError: The connection failed, or the bytes are wrong. What was downloaded stays for the
            next try, unless the whole of it is wrong.
        OSError: The disk failed.
    """
    blob = cache.blob(repo, remote.etag)
    with files.locked(
        cache.lock(repo, remote.etag),
        waiting=lambda: progress.status(
            f"Another process is downloading {remote.name}: waiting for it."
        ),
    ):
        if is_complete(repo, remote, progress):
            return 0
        if os.path.lexists(blob):
            whole = cache.size_of(blob) is not None
            sha256 = digests.sha256(blob, progress) if whole else "no-file"
            aside = quarantine(repo, blob, remote.name, sha256)
            progress.status(f"The installed {remote.name} has wrong bytes: moved to {aside}.")
        return _fetched(repo, remote, source, progress)


def _fetched(repo: str, remote: RemoteFile, source: Source, progress: Progress) -> int:
    partial, blob = cache.partial(repo, remote.etag), cache.blob(repo, remote.etag)
    fetched = 0
    for last in (False, True):
        sha256, more = _fill(repo, remote, source, progress)
        fetched += more
        if remote.sha256 in {None, sha256}:
            partial.replace(blob)
            digests.remember({blob: sha256})
            return fetched
        aside = quarantine(repo, partial, remote.name, sha256)
        progress.status(f"{remote.name} arrived with wrong bytes: moved to {aside}.")
        if not last:
            progress.status("Downloading it once more.")
            remote = replace(remote, chunks=None)
    raise PullError(
        f"{source.name} sends wrong bytes for {remote.name}: sha256 {sha256[:12]}..., "
        f"not {(remote.sha256 or '')[:12]}...",
        hint=f"The wrong file was moved to {aside}. Try another source or mirror.",
    )


def is_complete(repo: str, remote: RemoteFile, progress: Progress | None = None) -> bool:
    """Tell whether a file's bytes are in the hub cache, complete and right."""
    blob = cache.blob(repo, remote.etag)
    if cache.size_of(blob) != remote.bytes:
        return False
    return remote.sha256 is None or digests.sha256(blob, progress) == remote.sha256


def quarantine(repo: str, path: Path, name: str, sha256: str) -> Path:
    """Move a wrong file out of the way, under its name and the beginning of its sha256."""
    aside = cache.folder(repo) / cache.QUARANTINE / f"{name.rsplit('/', 1)[-1]}.{sha256[:12]}"
    aside.parent.mkdir(parents=True, exist_ok=True)
    path.replace(aside)
    return aside


def _fill(repo: str, remote: RemoteFile, source: Source, progress: Progress) -> tuple[str, int]:
    """Fetch until the partial file is whole; give its sha256 and how many bytes were fetched."""
    total = remote.bytes or 0
    partial = _Partial(cache.partial(repo, remote.etag), total)
    begun = partial.done
    backoff = Backoff(progress)
    with partial.file:
        while partial.done < total:
            before = partial.done
            try:
                _drain(repo, remote, source, progress, partial)
                failure = HubError(
                    f"The connection ended {total - partial.done:,} bytes before the end of "
                    f"{remote.name}.",
                    hint=KEPT,
                    retries=MANY,
                )
            except HubError as error:
                failure = error
            if partial.done > before:
                backoff.reset()
            if partial.done < total:
                backoff.wait(failure)
    return partial.digest.hexdigest(), partial.done - begun


def _drain(
    repo: str, remote: RemoteFile, source: Source, progress: Progress, partial: _Partial
) -> None:
    """Write what one answer gives. A first piece that is no GGUF is not written."""
    total = remote.bytes or 0
    for chunk in source.open(repo, remote, partial.done):
        if not partial.done and remote.name.casefold().endswith(".gguf"):
            _check_magic(chunk, remote.name)
        if partial.done + len(chunk) > total:
            raise HubError(
                f"More bytes came than the {total:,} that {remote.name} has.",
                hint=ELSEWHERE,
            )
        partial.write(chunk)
        progress.progress(remote.name, partial.done, total)


def _check_magic(chunk: bytes, name: str) -> None:
    if chunk[: len(_MAGIC)] != _MAGIC[: len(chunk)]:
        start = ascii(chunk[:4])[2:-1]
        raise HubError(
            f"What came in place of {name} is not a GGUF file: it starts with {start}.",
            hint="A login page of the network, or a mirror that is broken? Try another one.",
        )
