"""Carries out the plan of a pull: downloads, links into the cache, checks what came."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from qwenpick import units
from qwenpick.errors import PullError, RunError, UsageError
from qwenpick.pull import cache, digests, failures, fetch, header_mismatch
from qwenpick.pull.gguf.header import read_header
from qwenpick.pull.names import is_projector, quant_of
from qwenpick.pull.planner import source_of

if TYPE_CHECKING:
    from qwenpick.pull.plan import Item, Plan, Progress


class Pulled(Struct, frozen=True, kw_only=True):
    """What was downloaded: the model's own file, and from where."""

    path: Path
    bytes: int
    fetched: int
    sha256: str
    source: str


def download(plan: Plan, progress: Progress) -> Pulled:
    """Do what a plan says, from the hub that it names, and check what came.

    Raises:
        PullError: By its cause; what was fetched is kept.
    """
    if plan.missing > plan.free:
        needed, free = units.download(plan.missing), units.download(plan.free)
        raise PullError(
            f"Not enough disk space: {needed} to download, {free} free on {plan.into}.",
            hint="Free some space (qwenpick list, qwenpick rm), or set HF_HOME to another disk.",
        )
    paths, fetched = [], 0
    try:
        if plan.missing:
            cache.write_ref(plan.repo, plan.branch or plan.revision, plan.revision)
        for item in plan.items:
            path, more = _download_item(plan, item, progress)
            paths.append(path)
            fetched += more
    except OSError as error:
        raise failures.by_disk(error, cache.folder(plan.repo)) from None
    own = sum(not is_projector(item.name) for item in plan.items)
    return Pulled(
        path=paths[0],
        bytes=sum(path.stat().st_size for path in paths[:own]),
        fetched=fetched,
        sha256=digests.sha256(paths[0], progress),
        source=plan.items[0].source,
    )


def _download_item(plan: Plan, item: Item, progress: Progress) -> tuple[Path, int]:
    """Give where a file is, and how many bytes were downloaded for it."""
    if item.path:
        return Path(item.path), 0
    remote = item.remote
    if not remote:
        raise PullError(f"{item.name} cannot be downloaded.", hint="Try another source.")
    fetched = fetch.fetch(plan.repo, remote, source_of(plan.source), progress)
    bytes_at = cache.blob(plan.repo, remote.etag)
    if bytes_at.exists() and (trouble := _trouble(bytes_at, item, plan, progress)):
        aside = fetch.quarantine(plan.repo, bytes_at, item.name, digests.sha256(bytes_at))
        raise PullError(
            f"{item.name} is complete, but not what was asked for: {trouble}",
            hint=f"It was moved to {aside}. Choose another file, or tell its author.",
        )
    return (
        cache.link_snapshot(plan.repo, commit=plan.revision, name=item.name, etag=remote.etag),
        fetched,
    )


def _trouble(path: Path, item: Item, plan: Plan, progress: Progress) -> str:
    """Say what is wrong with a file: a broken header, or one that was not asked for."""
    if item.name != plan.items[0].name:
        return ""
    try:
        header = read_header(path)
    except (RunError, UsageError) as error:
        return error.message
    named, inside = quant_of(item.name), header_mismatch.declared(header)
    trouble = header_mismatch.find_mismatch(header, plan.asked)
    if not trouble and named and inside and not named.upper().startswith(("UD-", inside)):
        progress.status(f"The file's name says {named}, its header {inside}.")
    return trouble
