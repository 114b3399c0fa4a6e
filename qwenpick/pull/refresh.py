"""Asks the hub for the catalogue's files as they are now, and keeps the answer in QWENPICK_HOME.

Saved as `catalog.json`: {repo: {"revision": answer.commit, "files": {name: {"bytes", "sha256"}}}}.
`catalog/refreshed.py` lays it over the table when it is loaded.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from qwenpick.catalog.refreshed import place
from qwenpick.errors import PullError
from qwenpick.pull.retry import with_retries

if TYPE_CHECKING:
    from qwenpick.catalog.model import Catalog
    from qwenpick.pull.plan import Progress


def refresh(catalog: Catalog, progress: Progress) -> int:
    """Ask, keep, and give the number of files whose sha256 is known now.

    Raises:
        PullError: The hub can't be asked, or the home can't be written to.
    """
    from qwenpick.pull.sources.hub import Hub

    hub, repos, count = Hub(), {}, 0
    for model in catalog.models:
        answer = with_retries(lambda repo=model.repo: hub.listing(repo, "main"), progress)  # type: ignore[misc]
        wanted = {file.name for file in model.files}
        if model.projector:
            wanted.add(model.projector.name)
        files: dict[str, Any] = {
            name: {"bytes": size, "sha256": sha256}
            for name, size, sha256 in answer.files
            if name in wanted and size and sha256
        }
        repos[model.repo] = {"revision": answer.commit, "files": files}
        count += len(files)
    path = place()
    draft = path.with_suffix(".draft")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(json.dumps(repos, indent=1), encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        raise PullError(
            f"{path} can't be written: {error.strerror}.",
            hint="Set QWENPICK_HOME to another folder.",
        ) from None
    return count
