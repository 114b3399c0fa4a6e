"""What is installed: listed, verified, removed. Removing touches the hub cache alone."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path  # noqa: TC003 - msgspec reads it
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from qwenpick import hub_env
from qwenpick.errors import PullError, UsageError
from qwenpick.pull import cache, digests, failures, local
from qwenpick.pull.names import first_part, is_projector, is_split, parts_of, quant_of
from qwenpick.pull.reference import Demo, HubFile, LocalFile, Size

if TYPE_CHECKING:
    from qwenpick.catalog.model import Catalog
    from qwenpick.pull.plan import Progress
    from qwenpick.pull.reference import Reference

State = Literal["good", "wrong", "unknown", "unreadable"]


class InstalledFile(Struct, frozen=True, kw_only=True):
    """A file that is installed; of a split model, its first part, which stands for all."""

    path: Path
    size: str | None
    quant: str | None
    bytes: int
    source: str
    last_used: str
    """UTC, ISO 8601."""

    @property
    def model(self) -> str:
        """The MODEL that names it on the command line."""
        if self.size:
            return f"{self.size}:{self.quant}"
        if repo := cache.repo_of(self.path):
            name = self.path.name
            return f"{repo}:{self.quant}" if self.quant and not self.beside else f"{repo}/{name}"
        return str(self.path)

    @property
    def title(self) -> str:
        """What it is: `Qwen3.5-4B Q4_K_M`, or its file's name."""
        return f"Qwen3.5-{self.size.upper()} {self.quant}" if self.size else self.path.name

    @property
    def beside(self) -> bool:
        """Whether it is a projector, which lies beside a model and runs with it."""
        return is_projector(self.path.name)

    @property
    def paths(self) -> tuple[Path, ...]:
        """The file itself, and the further ones of a split model."""
        return _parts(self.path)


class Check(Struct, frozen=True, kw_only=True):
    """A file's sha256 against what it should be."""

    path: Path
    sha256: str | None
    """None of a file that cannot be read."""
    expected: str | None
    state: State
    model: str


def installed(catalog: Catalog) -> tuple[InstalledFile, ...]:
    """List every .gguf of the hub cache, and of other tools those that the catalogue knows."""
    found = dict.fromkeys(cache.installed_files(), "hf")
    seen = {path.resolve() for path in found}
    for source, path in local.elsewhere():
        if path.resolve() not in seen and local.known(path, catalog):
            seen.add(path.resolve())
            found[path] = source
    listed = []
    for path, source in found.items():
        first = path.with_name(first_part(path.name))
        if (first == path or first not in found) and cache.size_of(path) is not None:
            listed.append(_listed(path, source, catalog))
    return tuple(listed)


def leftovers() -> tuple[Path, ...]:
    """List what stopped or failed downloads left: partial files, and wrong ones moved away."""
    return tuple(sorted(cache.leftovers()))


def chosen(reference: Reference | None, catalog: Catalog) -> tuple[InstalledFile, ...]:
    """Choose among what is installed; everything where no reference is given.

    Raises:
        UsageError: It is not installed.
    """
    files = installed(catalog)
    if reference is None:
        return files
    if isinstance(reference, LocalFile):
        same = [file for file in files if file.path.resolve() == reference.path.resolve()]
        return tuple(same) or (_listed(reference.path, "file", catalog),)
    if isinstance(reference, Demo):
        raise UsageError("The demo model belongs to its package.", hint="See: pip check")
    found = tuple(file for file in files if _is(file, reference))
    if not found:
        name = _name(reference)
        raise UsageError(
            f"{name} is not installed.",
            hint=f"See installed models: qwenpick list. Download it: qwenpick pull {name}",
        )
    return found


def check(
    files: tuple[InstalledFile, ...], catalog: Catalog, progress: Progress
) -> tuple[Check, ...]:
    """Read files from beginning to end, and compare their sha256."""
    checks: list[Check] = []
    try:
        for file in files:
            checks += (_check(path, file.model, catalog, progress) for path in file.paths)
    finally:  # what was read before an interruption counts, too
        digests.remember({check.path: check.sha256 for check in checks if check.sha256})
    return tuple(checks)


def _check(path: Path, model: str, catalog: Catalog, progress: Progress) -> Check:
    known = local.known(path, catalog)
    expected = _digest_in_name(path) or (known[1].sha256 if known else None)
    state: State = "wrong" if expected else "unknown"
    sha256 = None
    try:
        sha256 = digests.hash_file(path, progress)
        state = "good" if sha256 == expected else state
    except OSError:
        state = "unreadable"
    return Check(path=path, sha256=sha256, expected=expected, state=state, model=model)


def _listed(path: Path, source: str, catalog: Catalog) -> InstalledFile:
    facts, known = path.stat(), local.known(path, catalog)
    used = datetime.fromtimestamp(max(facts.st_atime, facts.st_mtime, 0), tz=UTC)
    return InstalledFile(
        path=path,
        size=known[0] if known else None,
        quant=known[1].quant if known else quant_of(path.name),
        bytes=sum(cache.size_of(part) or 0 for part in _parts(path)),
        source=source,
        last_used=used.isoformat(timespec="seconds"),
    )


def _parts(path: Path) -> tuple[Path, ...]:
    """List the files of a model whose first one is given; without all parts, that one alone."""
    if not is_split(path.name):
        return (path,)
    try:
        names = parts_of(path.name, [other.name for other in path.parent.iterdir()])
    except (OSError, PullError):
        return (path,)
    return tuple(path.with_name(name) for name in names)


def _digest_in_name(path: Path) -> str | None:
    """Give the sha256 that a file of the hub cache is named by."""
    name = path.resolve().name
    return name if cache.repo_of(path) and re.fullmatch(r"[0-9a-f]{64}", name) else None


def _is(file: InstalledFile, reference: Size | HubFile) -> bool:
    quant = (reference.quant or file.quant or "").casefold()
    if (file.quant or "").casefold() != quant:
        return False
    if isinstance(reference, Size):
        return file.size == reference.size
    named = reference.file is None or file.path.as_posix().endswith(
        "/" + first_part(reference.file)
    )
    return cache.repo_of(file.path) == reference.repo and named


def _name(reference: Size | HubFile) -> str:
    name = reference.size if isinstance(reference, Size) else reference.repo
    if isinstance(reference, HubFile) and reference.file:
        return f"{name}/{reference.file}"
    return f"{name}:{reference.quant}" if reference.quant else name


class Removal(Struct, frozen=True, kw_only=True):
    """What a removal takes away, all inside the hub cache."""

    paths: tuple[Path, ...]
    """Links first, then the bytes."""
    bytes: int


def removal(reference: Reference, catalog: Catalog) -> Removal:
    """Plan a removal.

    Raises:
        UsageError: It is not installed, another tool's, or more than one file is meant.
    """
    files = chosen(reference, catalog)
    ours = [file for file in files if cache.repo_of(file.path)]
    if not ours:
        where = f"{files[0].path} is" if files else "That is"
        raise UsageError(
            f"{where} not in the Hugging Face cache.",
            hint="Remove it with the tool that it belongs to.",
        )
    whole_repo = isinstance(reference, (Size, HubFile)) and reference.quant is None
    if len(ours) > 1 and whole_repo:
        names = ", ".join(file.model for file in ours)
        raise UsageError(f"That names more than one file: {names}.", hint="Name one of them.")
    targets = [path for file in ours for path in file.paths]
    paths = cache.belonging(targets)
    if not paths:
        raise UsageError(
            f"{targets[0]} is in a folder outside of the Hugging Face cache.",
            hint="Remove it there.",
        )
    sizes = [path.lstat().st_size for path in paths if not path.is_symlink()]
    sizes += [path.stat().st_size for path in paths if _is_shared_blob(path) and path.exists()]
    return Removal(paths=tuple(paths), bytes=sum(sizes))


def remove(plan: Removal) -> None:
    """Remove what a plan names, and the folders that are empty then.

    Raises:
        PullError: The disk refuses it.
    """
    _remove_shared([path for path in plan.paths if _is_shared_blob(path)])
    for path in plan.paths:
        try:
            cache.remove(path)
        except OSError as error:
            raise failures.by_disk(error, path) from None


def _is_shared_blob(path: Path) -> bool:
    """Tell whether a path is a repository's link to bytes that repositories share."""
    return path.parent.name == "blobs" and cache.in_shared_store(path)


def _remove_shared(blobs: list[Path]) -> None:
    """Remove links into the store of shared bytes by huggingface_hub, which counts its users."""
    if not blobs:
        return
    hub_env.prepare_library()
    from huggingface_hub import DeleteCacheStrategy

    none: frozenset[Path] = frozenset()
    DeleteCacheStrategy(
        expected_freed_size=0,
        blobs=frozenset(blobs),
        refs=none,
        repos=none,
        snapshots=none,
        cache_dir=hub_env.cache_root(),
    ).execute()
