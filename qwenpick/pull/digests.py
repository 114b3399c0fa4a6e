"""What a file's bytes really are: its sha256, taken once a file and kept.

A proof holds while the file's length and time of change are the same.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from typing import TYPE_CHECKING, Any

from qwenpick.files import home

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_BLOCK = 1 << 20


def hash_file(path: Path, moved: Callable[[int], None] | None = None) -> str:
    """Take a file's sha256, reading it in blocks; *moved* hears how many bytes were read."""
    digest, done = hashlib.sha256(), 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            done += len(block)
            if moved:
                moved(done)
    return digest.hexdigest()


def cached_sha256(path: Path) -> str | None:
    """Give the sha256 that was kept of a file, None where it has changed or none was."""
    proof = _proofs().get(_key(path))
    return proof["sha256"] if proof and _state(path) == _of(proof) else None


def keep(path: Path, sha256: str) -> None:
    """Keep a file's sha256. A home that can't be written to costs a second reading, no more."""
    size, changed = _state(path)
    proofs = _proofs() | {_key(path): {"bytes": size, "changed": changed, "sha256": sha256}}
    _write(proofs)


def forget(path: Path) -> None:
    """Drop what was kept of a file."""
    proofs = _proofs()
    if proofs.pop(_key(path), None):
        _write(proofs)


def sha256(path: Path, moved: Callable[[int], None] | None = None) -> str:
    """Give a file's sha256: the kept one, else taken now and kept."""
    sha256 = cached_sha256(path)
    if not sha256:
        sha256 = hash_file(path, moved)
        keep(path, sha256)
    return sha256


def _key(path: Path) -> str:
    return str(path.resolve())


def _state(path: Path) -> tuple[int, int]:
    facts = path.stat()
    return facts.st_size, facts.st_mtime_ns


def _of(proof: dict[str, Any]) -> tuple[int, int]:
    return proof["bytes"], proof["changed"]


def _proofs() -> dict[str, Any]:
    try:
        proofs = json.loads((home() / "proofs.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return proofs if isinstance(proofs, dict) else {}


def _write(proofs: dict[str, Any]) -> None:
    path = home() / "proofs.json"
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(json.dumps(proofs, indent=1), encoding="utf-8")
        draft.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            draft.unlink()
