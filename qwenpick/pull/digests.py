"""What a file's bytes really are: its sha256, computed once a file and remembered.

A remembered one counts while the file's length and time of change are the same. They are in
QWENPICK_HOME/proofs.json; a file there that is broken, or cannot be written, costs a second
reading and no more.
"""

from __future__ import annotations

import contextlib
import hashlib
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta, Struct

from qwenpick import files
from qwenpick.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from qwenpick.pull.plan import Progress

_BLOCK = 1 << 20
_QUICK = 64 << 20
"""Bytes up to which a file is hashed without a word: half a second, at 130 MB/s."""


class Proof(Struct, frozen=True, kw_only=True):
    """The sha256 of a file as it was."""

    bytes: int
    changed: int
    """Time of change, nanoseconds since 1970."""
    sha256: Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]


def hash_file(path: Path, progress: Progress | None = None) -> str:
    """Compute a file's sha256, reading it in blocks; *progress* is told of how far that is.

    Raises:
        OSError: It cannot be read.
    """
    digest, done = hashlib.sha256(), 0
    total = path.stat().st_size
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            done += len(block)
            if progress:
                progress.progress(path.name, done, max(total, done))
    return digest.hexdigest()


def cached_sha256(path: Path) -> str | None:
    """Give the sha256 that is remembered of a file, None where it has changed or none is."""
    proof = _proofs().get(_key(path))
    with contextlib.suppress(OSError):
        if proof and (proof.bytes, proof.changed) == _state(path):
            return proof.sha256
    return None


def remember(digests: Mapping[Path, str]) -> None:
    """Remember the sha256 of files, by their paths."""
    with contextlib.suppress(OSError), files.locked(_place()):
        proofs = _proofs()
        for path, sha256 in digests.items():
            size, changed = _state(path)
            proofs[_key(path)] = Proof(bytes=size, changed=changed, sha256=sha256)
        files.write(_place(), msgspec.json.format(msgspec.json.encode(proofs), indent=1))


def sha256(path: Path, progress: Progress | None = None) -> str:
    """Give a file's sha256: the remembered one, else computed now and remembered.

    Args:
        path: The file.
        progress: Told of how far a large file is read, and that it is.

    Raises:
        OSError: It cannot be read.
    """
    known = cached_sha256(path)
    if not known:
        large = path.stat().st_size > _QUICK
        if progress and large:
            progress.status(f"Checking {path.name} (only before its first use).")
        known = hash_file(path, progress if large else None)
        remember({path: known})
    return known


def _key(path: Path) -> str:
    return str(path.resolve())


def _state(path: Path) -> tuple[int, int]:
    facts = path.stat()
    return facts.st_size, facts.st_mtime_ns


def _place() -> Path:
    return files.home() / "proofs.json"


def _proofs() -> dict[str, Proof]:
    with contextlib.suppress(UsageError):
        return files.document(_place(), dict[str, Proof], what="the checksums")
    return {}
