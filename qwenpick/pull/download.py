"""Carries out the plan of a pull: fetches, files away, checks what came."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from qwenpick.errors import PullError, RunError, UsageError
from qwenpick.pull import cache, digests, failures, fetch, header_mismatch
from qwenpick.pull.gguf.header import read_header
from qwenpick.pull.names import quant_of

if TYPE_CHECKING:
    from qwenpick.pull.plan import Item, Plan, Progress, Source


class Pulled(Struct, frozen=True, kw_only=True):
    """What a pull brought: the model's own file, and how it came here."""

    path: Path
    bytes: int
    fetched: int
    sha256: str
    source: str


def download(plan: Plan, source: Source, progress: Progress) -> Pulled:
    """Do what a plan says, and check what came.

    Raises:
        PullError: By its cause; what was fetched is kept.
    """
    if plan.missing > plan.free:
        raise failures.no_room(plan.missing, plan.free, plan.into)
    if plan.missing:
        _note_branch(plan)
    paths, fetched = [], 0
    for item in plan.items:
        path, more = _bring(plan, item, source, progress)
        paths.append(path)
        fetched += more
    first = plan.items[0]
    return Pulled(
        path=paths[0],
        bytes=sum(path.stat().st_size for path in paths[: _own(plan)]),
        fetched=fetched,
        sha256=digests.sha256(paths[0]),
        source=first.source,
    )


def _note_branch(plan: Plan) -> None:
    try:
        cache.write_ref(plan.repo, plan.branch or plan.revision, plan.revision)
    except OSError as error:
        raise failures.by_disk(error, cache.folder(plan.repo)) from None


def _own(plan: Plan) -> int:
    """Count the items that are the model itself, and not its projector."""
    return sum("mmproj" not in item.name for item in plan.items)


def _bring(plan: Plan, item: Item, source: Source, progress: Progress) -> tuple[Path, int]:
    if item.here:
        return Path(item.here), 0
    remote = item.remote
    if not remote:
        raise PullError(f"{item.name} is nowhere to be had.", hint="Try another source.")
    fetched = fetch.fetch(plan.repo, remote, source, progress)
    bytes_at = cache.blob(plan.repo, remote.etag)
    if bytes_at.exists() and (trouble := _trouble(bytes_at, item, plan, progress)):
        aside = fetch.quarantine(plan.repo, bytes_at, item.name, digests.sha256(bytes_at))
        raise PullError(
            f"{item.name} is whole, but not what was asked for: {trouble}",
            hint=f"It is set aside as {aside}. Choose another file, or tell its author.",
        )
    try:
        path = cache.link_snapshot(
            plan.repo, commit=plan.revision, name=item.name, etag=remote.etag
        )
    except OSError as error:
        raise failures.by_disk(error, cache.folder(plan.repo)) from None
    return path, fetched


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
        progress.status(f"Its name says {named}, its header {inside}.")
    return trouble
