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
import re
import stat
from typing import TYPE_CHECKING

from qwenpick import files
from qwenpick.errors import UsageError
from qwenpick.hub_env import cache_root

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PARTIAL = ".incomplete"
QUARANTINE = "set-aside"
"""The folder of files that arrived wrong."""
_REF_BYTES = 1024


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


def partial_bytes(repo: str, etag: str) -> int:
    """Count the bytes that an earlier download left."""
    path = partial(repo, etag)
    return 0 if path.is_symlink() else size_of(path) or 0


def size_of(path: Path) -> int | None:
    """Give the bytes of a regular file; None of anything else, and of what cannot be seen."""
    try:
        facts = path.stat()
    except (OSError, ValueError):
        return None
    return facts.st_size if stat.S_ISREG(facts.st_mode) else None


def lock(repo: str, etag: str) -> Path:
    """Give what to lock as the hub's own tools do while they fetch the same bytes."""
    return cache_root() / ".locks" / folder(repo).name / etag


def snapshot(repo: str, commit: str, name: str) -> Path:
    """Give the place where tools look for a file of a revision."""
    return folder(repo) / "snapshots" / commit / name


def commit_of(repo: str, revision: str) -> str:
    """Give the commit that a branch stood at when last asked; a commit is given back."""
    try:
        commit = files.read(folder(repo) / "refs" / revision, limit=_REF_BYTES).decode().strip()
    except (UsageError, UnicodeDecodeError):
        return revision
    return commit if re.fullmatch(r"[0-9A-Za-z][0-9A-Za-z_-]*", commit) else revision


def snapshots_of(repo: str, revision: str, name: str) -> Iterator[Path]:
    """Give the places of a file: in the revision first, then in every other that is installed."""
    first = commit_of(repo, revision)
    yield snapshot(repo, first, name)
    for commit in _entries(folder(repo) / "snapshots"):
        if commit.name != first:
            yield commit / name


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
    if os.path.lexists(ref) and (ref.is_symlink() or not ref.is_file()):
        ref.unlink()  # a link's target is not ours
    ref.write_text(commit, encoding="utf-8")


def names(repo: str, revision: str) -> tuple[str, ...]:
    """List the .gguf files of a revision that are installed."""
    place = folder(repo) / "snapshots" / commit_of(repo, revision)
    return tuple(path.relative_to(place).as_posix() for path in _ggufs(place))


def installed_files() -> Iterator[Path]:
    """Go over every .gguf of the cache, each blob once, in the order of their names."""
    seen = set()
    for repo in _entries(cache_root(), "models--"):
        for commit in _entries(repo / "snapshots"):
            for path in _ggufs(commit):
                facts = path.stat()
                if (facts.st_dev, facts.st_ino) not in seen:
                    seen.add((facts.st_dev, facts.st_ino))
                    yield path


def _entries(place: Path, beginning: str = "") -> list[Path]:
    """List what is in a folder, by name; one that cannot be read is empty."""
    try:
        return [path for path in sorted(place.iterdir()) if path.name.startswith(beginning)]
    except OSError:
        return []


def _ggufs(place: Path) -> Iterator[Path]:
    """Walk a snapshot for regular .gguf files; folders that are links are left out."""
    for path in _all_files(place):
        if path.name.casefold().endswith(".gguf") and size_of(path) is not None:
            yield path


def leftovers() -> Iterator[Path]:
    """Go over what downloads left: partial files, and wrong ones that were moved away."""
    for repo in _entries(cache_root()):
        for path in _entries(repo / "blobs"):
            if path.name.endswith(PARTIAL) and size_of(path) is not None:
                yield path
        yield from (path for path in _entries(repo / QUARANTINE) if size_of(path) is not None)


def belonging(targets: list[Path]) -> list[Path]:
    """List what to remove for files of snapshots: links first, then bytes and what is beside them.

    Nothing outside of the cache is listed, whatever links lie in it: of a link that leads elsewhere
    the link alone, and no bytes that a link of another file or repository still leads to.
    """
    wanted = {path.resolve() for path in targets}
    links, others, found = [], set(), []
    for repo in _entries(cache_root()):
        for place in (*_all_files(repo / "snapshots"), *_entries(repo / "blobs")):
            if place.is_symlink() and place.resolve() in wanted:
                is_ours = repo in {folder(repo_of(path) or "") for path in targets}
                (links.append(place) if is_ours else others.add(place.resolve()))
    for target in targets:
        repo = folder(repo_of(target) or "")
        blob = target.resolve()
        found.append(target)
        if blob.parent == (repo / "blobs").resolve() and blob not in others:
            name = blob.name
            found += [repo / "blobs" / name, repo / "blobs" / (name + PARTIAL)]
            found.append(cache_root() / ".locks" / repo.name / f"{name}.lock")
        found += [
            path for path in _entries(repo / QUARANTINE) if path.name.startswith(target.name + ".")
        ]
        rest = [path for path in _all_files(repo / "snapshots") if path not in {*links, *targets}]
        if not rest:
            found += _all_files(repo / "refs")
    root = cache_root().resolve()
    inside = (path for path in (*links, *found) if path.parent.resolve().is_relative_to(root))
    return [path for path in dict.fromkeys(inside) if os.path.lexists(path)]


def in_shared_store(path: Path) -> bool:
    """Tell whether a path is a link into the store that huggingface_hub shares between repos."""
    return path.is_symlink() and path.resolve().is_relative_to((cache_root() / "blobs").resolve())


def remove(path: Path) -> None:
    """Remove a file or link of the cache, and the folders that are empty then.

    Raises:
        OSError: The system refuses it.
    """
    path.unlink(missing_ok=True)
    for parent in path.parents:
        if parent in {cache_root(), cache_root() / ".locks"} or parent.is_symlink():
            return
        if any(parent.iterdir()):
            return
        parent.rmdir()


def _all_files(place: Path) -> list[Path]:
    """List what is not a folder below a folder, links themselves; links are not followed."""
    found = []
    for path in _entries(place):
        found += _all_files(path) if path.is_dir() and not path.is_symlink() else [path]
    return found
