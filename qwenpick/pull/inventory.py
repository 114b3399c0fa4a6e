"""What is on disk: listed, verified, removed. Removing touches the hub cache alone."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from qwenpick.errors import UsageError
from qwenpick.hub_env import cache_root
from qwenpick.pull import cache, digests, failures, local
from qwenpick.pull.names import quant_of
from qwenpick.pull.reference import Demo, HubFile, LocalFile, Size

if TYPE_CHECKING:
    from qwenpick.catalog.model import Catalog
    from qwenpick.pull.plan import Progress
    from qwenpick.pull.reference import Reference

State = Literal["good", "wrong", "unknown"]


class InstalledFile(Struct, frozen=True, kw_only=True):
    """A file that is here."""

    path: Path
    size: str | None
    quant: str | None
    bytes: int
    source: str
    last_used: str
    """UTC, ISO 8601."""
    model: str
    """The MODEL that names it on the command line."""
    title: str
    expected: str | None
    """The sha256 that it should have, None where nobody says."""
    beside: bool
    """A projector, which lies beside a model and runs with it."""


class Check(Struct, frozen=True, kw_only=True):
    """A file's sha256 against what it should be."""

    path: Path
    sha256: str
    expected: str | None
    state: State
    model: str


class Removal(Struct, frozen=True, kw_only=True):
    """What a removal takes away: links and bytes, in the hub cache."""

    paths: tuple[str, ...]
    bytes: int


def installed(catalog: Catalog) -> tuple[InstalledFile, ...]:
    """List every .gguf of the hub cache, and of other tools those that the catalogue knows."""
    files = [_installed(path, "hf", catalog) for path in cache.files()]
    seen = {file.path.resolve() for file in files}
    for source, path in local.elsewhere():
        if path.is_file() and path.resolve() not in seen and local.known(path, catalog):
            seen.add(path.resolve())
            files.append(_installed(path, source, catalog))
    return tuple(files)


def left_over() -> tuple[Path, ...]:
    """List what pulls left that were stopped or went wrong: pieces, and files set aside."""
    root = cache_root()
    pieces = root.glob(f"models--*/blobs/*{cache.PARTIAL}")
    return tuple(sorted([*pieces, *root.glob("models--*/set-aside/*")]))


def chosen(reference: Reference | None, catalog: Catalog) -> tuple[InstalledFile, ...]:
    """Choose among what is here; everything where no reference is given.

    Raises:
        UsageError: It is not here.
    """
    files = installed(catalog)
    if reference is None:
        return files
    if isinstance(reference, LocalFile):
        same = [file for file in files if file.path.resolve() == reference.path.resolve()]
        return tuple(same) or (_installed(reference.path, "file", catalog),)
    if isinstance(reference, Demo):
        raise UsageError("The demo's model belongs to its package.", hint="See: pip check")
    found = tuple(file for file in files if _is(file, reference))
    if not found:
        name = _name(reference)
        raise UsageError(
            f"{name} is not here.", hint=f"qwenpick list shows what is; qwenpick pull {name}"
        )
    return found


def check(files: tuple[InstalledFile, ...], progress: Progress) -> tuple[Check, ...]:
    """Read files from beginning to end, and compare their sha256."""
    return tuple(_check(file, progress) for file in files)


def removal(reference: Reference, catalog: Catalog) -> Removal:
    """Plan a removal.

    Raises:
        UsageError: It is not here, another tool's, or more than one file is meant.
    """
    files = chosen(reference, catalog)
    ours = [file for file in files if cache.repo_of(file.path)]
    if not ours:
        raise UsageError(
            f"{files[0].path} is not in the hub cache ({files[0].source}).",
            hint="Remove it with the tool that it belongs to.",
        )
    if len(ours) > 1 and not _names_one(reference):
        names = ", ".join(file.model for file in ours)
        raise UsageError(f"That names more than one file: {names}.", hint="Name one of them.")
    paths: list[Path] = []
    for file in ours:
        paths += _belonging(file.path)
    sizes = [path.stat().st_size for path in paths if path.is_file() and not path.is_symlink()]
    return Removal(paths=tuple(str(path) for path in paths), bytes=sum(sizes))


def remove(plan: Removal) -> None:
    """Remove what a plan names, and the folders that are empty then."""
    for path in map(Path, plan.paths):
        try:
            digests.forget(path)
            path.unlink(missing_ok=True)
            for parent in path.parents:
                if parent == cache_root() or any(parent.iterdir()):
                    break
                parent.rmdir()
        except OSError as error:
            raise failures.by_disk(error, path) from None


def _belonging(path: Path) -> list[Path]:
    """List a file's bytes, what an earlier try left of them, and every link to them."""
    repo = cache.repo_of(path) or ""
    bytes_at = path.resolve()
    links = [
        link
        for link in sorted((cache.folder(repo) / "snapshots").rglob("*.gguf"))
        if link.resolve() == bytes_at
    ]
    left = bytes_at.with_name(bytes_at.name + cache.PARTIAL)
    aside = sorted((cache.folder(repo) / "set-aside").glob(f"{path.name}.*"))
    found = [*links, bytes_at, left, *aside, cache.lock(repo, bytes_at.name)]
    files = [file for file in (cache.folder(repo) / "snapshots").rglob("*") if file.is_file()]
    if len(files) == len(links):
        found += sorted(file for file in (cache.folder(repo) / "refs").rglob("*") if file.is_file())
    return [item for item in dict.fromkeys(found) if item.is_symlink() or item.exists()]


def _check(file: InstalledFile, progress: Progress) -> Check:
    sha256 = digests.hash_file(
        file.path, lambda done: progress.progress(file.path.name, done, file.bytes)
    )
    digests.keep(file.path, sha256)
    state: State = "unknown" if not file.expected else "wrong"
    return Check(
        path=file.path,
        sha256=sha256,
        expected=file.expected,
        state="good" if sha256 == file.expected else state,
        model=file.model,
    )


def _installed(path: Path, source: str, catalog: Catalog) -> InstalledFile:
    facts = path.stat()
    known = local.known(path, catalog)
    repo = cache.repo_of(path)
    quant = known[1].quant if known else quant_of(path.name)
    beside = "mmproj" in path.name.casefold()
    if known:
        model = f"{known[0]}:{quant}"
    elif repo:
        model = f"{repo}:{quant}" if quant and not beside else f"{repo}/{path.name}"
    else:
        model = str(path)
    etag = path.resolve().name
    named = etag if repo and re.fullmatch(r"[0-9a-f]{64}", etag) else None
    used = datetime.fromtimestamp(max(facts.st_atime, facts.st_mtime), tz=UTC)
    return InstalledFile(
        path=path,
        size=known[0] if known else None,
        quant=quant,
        bytes=facts.st_size,
        source=source,
        last_used=used.isoformat(timespec="seconds"),
        model=model,
        title=f"Qwen3.5-{known[0].upper()} {quant}" if known else path.name,
        expected=named or (known[1].sha256 if known else None),
        beside=beside,
    )


def _is(file: InstalledFile, reference: Size | HubFile) -> bool:
    quant = (reference.quant or file.quant or "").casefold()
    if (file.quant or "").casefold() != quant:
        return False
    if isinstance(reference, Size):
        return file.size == reference.size
    named = reference.file is None or file.path.as_posix().endswith("/" + reference.file)
    return cache.repo_of(file.path) == reference.repo and named


def _name(reference: Size | HubFile) -> str:
    name = reference.size if isinstance(reference, Size) else reference.repo
    if isinstance(reference, HubFile) and reference.file:
        return f"{name}/{reference.file}"
    return f"{name}:{reference.quant}" if reference.quant else name


def _names_one(reference: Reference) -> bool:
    """Tell whether a reference names one model, whose several files are parts of it."""
    return not isinstance(reference, (Size, HubFile)) or reference.quant is not None
