"""Lays over the table what `pull --refresh` learned from the hub: revision, bytes, sha256."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from qwenpick.files import home

if TYPE_CHECKING:
    from pathlib import Path

    from qwenpick.catalog.model import Catalog, Model


def place() -> Path:
    """Give where the answer is kept."""
    return home() / "catalog.json"


def overlaid(catalog: Catalog) -> Catalog:
    """Give the catalogue with what is kept; as it is where nothing is, or nothing usable."""
    try:
        repos = json.loads(place().read_text(encoding="utf-8"))
        models = tuple(_overlaid(model, repos.get(model.repo)) for model in catalog.models)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return catalog
    return replace(catalog, models=models)


def _overlaid(model: Model, kept: dict[str, Any] | None) -> Model:
    """Take a repository's answer whole, or not at all: files of two revisions do not mix."""
    names = {file.name for file in model.files}
    if not kept or not names <= kept["files"].keys():
        return model
    files = tuple(
        replace(
            file,
            bytes=int(kept["files"][file.name]["bytes"]),
            bytes_exact=True,
            sha256=str(kept["files"][file.name]["sha256"]),
        )
        for file in model.files
    )
    projector = model.projector
    if projector and (entry := kept["files"].get(projector.name)):
        projector = replace(projector, bytes=int(entry["bytes"]), sha256=str(entry["sha256"]))
    return replace(model, revision=str(kept["revision"]), files=files, projector=projector)
