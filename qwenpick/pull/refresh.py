"""Asks Hugging Face for the catalogue's files as they are now, and saves that in QWENPICK_HOME.

`catalog/refreshed.py` has its form, and lays it over the table when that is loaded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from qwenpick import files
from qwenpick.catalog.refreshed import FoundFile, FoundRepo, place
from qwenpick.errors import PullError
from qwenpick.pull.retry import with_retries

if TYPE_CHECKING:
    from qwenpick.catalog.model import Catalog, Model
    from qwenpick.pull.plan import Progress
    from qwenpick.pull.sources.hub import Hub


def refresh(catalog: Catalog, progress: Progress) -> int:
    """Ask, save, and give the number of files whose sha256 is known now.

    Raises:
        PullError: The hub cannot be asked, or the home cannot be written to.
    """
    from qwenpick.pull.sources.hub import Hub

    hub = Hub()
    repos = {model.repo: _ask(hub, model, progress) for model in catalog.models}
    try:
        files.write(place(), msgspec.json.format(msgspec.json.encode(repos), indent=1))
    except OSError as error:
        raise PullError(
            f"Cannot write {place()}: {error.strerror}.",
            hint="Set QWENPICK_HOME to another folder.",
        ) from None
    return sum(len(repo.files) for repo in repos.values())


def _ask(hub: Hub, model: Model, progress: Progress) -> FoundRepo:
    """Ask for the files of a model that the catalogue knows."""
    answer = with_retries(lambda: hub.listing(model.repo, "main"), progress)
    wanted = {file.name for file in (*model.files, model.projector) if file}
    found = {
        name: FoundFile(bytes=size, sha256=sha256)
        for name, size, sha256 in answer.files
        if name in wanted and size and sha256
    }
    return FoundRepo(revision=answer.commit, files=found)
