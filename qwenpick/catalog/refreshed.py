"""Lays over the table what `pull --refresh` learned from the hub: revision, bytes, sha256."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct
from msgspec.structs import replace

from qwenpick import files
from qwenpick.catalog.model import Bytes, Sha256  # noqa: TC001 - msgspec reads them
from qwenpick.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from qwenpick.catalog.model import Catalog, Model


class FoundFile(Struct, frozen=True):
    """A file, as the hub describes it."""

    bytes: Bytes
    sha256: Sha256


class FoundRepo(Struct, frozen=True):
    """A repository, as the hub had it."""

    revision: Annotated[str, Meta(pattern=r"\A[0-9a-f]{40}\Z")]
    """The commit, which becomes a folder's name."""
    files: dict[str, FoundFile]


def place() -> Path:
    """Give where the answer is kept: a FoundRepo by the repository's name."""
    return files.home() / "catalog.json"


def overlaid(catalog: Catalog) -> Catalog:
    """Give the catalogue with what is kept; as it is where nothing is, or nothing usable."""
    try:
        repos = files.document(place(), dict[str, FoundRepo], what="the refreshed table")
    except UsageError:
        return catalog
    models = tuple(_overlaid(model, repos.get(model.repo)) for model in catalog.models)
    return replace(catalog, models=models)


def _overlaid(model: Model, kept: FoundRepo | None) -> Model:
    """Take a repository's answer whole, or not at all: files of two revisions do not mix."""
    names = {file.name for file in model.files}
    if not kept or not names <= kept.files.keys():
        return model
    found = kept.files
    weights = tuple(
        replace(
            file,
            bytes=found[file.name].bytes,
            bytes_exact=True,
            sha256=found[file.name].sha256,
        )
        for file in model.files
    )
    projector = model.projector
    if projector and (entry := found.get(projector.name)):
        projector = replace(projector, bytes=entry.bytes, sha256=entry.sha256)
    return replace(model, revision=kept.revision, files=weights, projector=projector)
