"""The layout of the hub cache, which every hub tool shares: blobs, snapshots, refs, locks.

    models--OWNER--REPO/blobs/ETAG               the bytes, under their sha256
    models--OWNER--REPO/blobs/ETAG.incomplete    the bytes so far (ours)
    models--OWNER--REPO/snapshots/COMMIT/NAME    a link to the bytes
    models--OWNER--REPO/refs/BRANCH              the commit that a branch stood at
    .locks/models--OWNER--REPO/ETAG.lock         held by whoever fetches

Written down in huggingface_hub's guide "Understand caching"; read from the environment at each
call, as the hub's own tools read it at their start. Knows no network.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from qwenpick.hub_env import cache_root

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PARTIAL = ".incomplete"


def folder(repo: str) -> Path:
    """Give the folder of a repository."""
    return cache_root() / ("models--" + repo.replace("/", "--"))


def repo_of(path: Path) -> str | None:
    """Give the repository that a path inside the cache belongs to."""
    try:
        first = path.relative_to(cache_root()).parts[0]
    except (ValueError, IndexError):
        return None
    kind, _, repo = first.partition("--")
    return repo.replace("--", "/", 1) if kind == "models" and repo else None


def blob(repo: str, etag: str) -> Path:
    """Give the place of a file's bytes."""
    return folder(repo) / "blobs" / etag


def partial(repo: str, etag: str) -> Path:
    """Give the place of a file's bytes while it is being fetched."""
    return folder(repo) / "blobs" / (etag + PARTIAL)


def lock(repo: str, etag: str) -> Path:
    """Give the lock that the hub's own tools hold while they fetch the same bytes."""
    return cache_root() / ".locks" / folder(repo).name / (etag + ".lock")


def snapshot(repo: str, commit: str, name: str) -> Path:
    """Give the place where tools look for a file of a revision."""
    return folder(repo) / "snapshots" / commit / name


def commit_of(repo: str, revision: str) -> str:
    """Give the commit that a branch stood at when last asked; a commit is given back."""
    try:
        return (folder(repo) / "refs" / revision).read_text(encoding="utf-8").strip()
    except OSError:
        return revision


def link_snapshot(repo: str, *, commit: str, name: str, etag: str) -> Path:
    """Link a blob into a snapshot; where links can't be made, move it there as hub tools do."""
    place, bytes_at = snapshot(repo, commit, name), blob(repo, etag)
    if place.exists() and (not bytes_at.exists() or place.samefile(bytes_at)):
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)
    try:
        place.symlink_to(os.path.relpath(bytes_at, place.parent))
    except OSError:
        bytes_at.replace(place)
    return place


def write_ref(repo: str, revision: str, commit: str) -> None:
    """Write down where a branch stands, as hub tools do, so that they find it offline."""
    if revision == commit:
        return
    ref = folder(repo) / "refs" / revision
    ref.parent.mkdir(parents=True, exist_ok=True)
    ref.write_text(commit, encoding="utf-8")


def names(repo: str, revision: str) -> tuple[str, ...]:
    """List the files of a revision that are here."""
    place = folder(repo) / "snapshots" / commit_of(repo, revision)
    found = (path for path in place.rglob("*.gguf") if path.is_file())
    return tuple(sorted(path.relative_to(place).as_posix() for path in found))


def files() -> Iterator[Path]:
    """Go over every .gguf of the cache, each blob once, snapshots in their order of names."""
    seen = set()
    for path in sorted(cache_root().glob("models--*/snapshots/*/**/*.gguf")):
        if path.is_file() and path.resolve() not in seen:
            seen.add(path.resolve())
            yield path
