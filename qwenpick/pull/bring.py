"""Carries out the plan of a pull: fetches, files away, checks what came."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from qwenpick.errors import PullError, RunError, UsageError
from qwenpick.pull import cache, faults, fetch, verify
from qwenpick.pull.gguf import read_header
from qwenpick.pull.plan import is_split

if TYPE_CHECKING:
    from qwenpick.pull.plan import Item, Plan, Source, Watcher


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulled:
    """What a pull brought: the model's own file, and how it came here."""

    path: Path
    bytes: int
    fetched: int
    sha256: str
    source: str


def carry_out(plan: Plan, source: Source, watch: Watcher) -> Pulled:
    """Do what a plan says, and check what came.

    Raises:
        PullError: By its cause; what was fetched is kept.
    """
    if plan.missing > plan.free:
        raise faults.no_room(plan.missing, plan.free, plan.into)
    if plan.missing:
        _note_branch(plan)
    paths, fetched = [], 0
    for item in plan.items:
        path, more = _bring(plan, item, source, watch)
        paths.append(path)
        fetched += more
    first = plan.items[0]
    return Pulled(
        path=paths[0],
        bytes=sum(path.stat().st_size for path in paths[: _own(plan)]),
        fetched=fetched,
        sha256=verify.prove(paths[0]),
        source=first.source,
    )


def _note_branch(plan: Plan) -> None:
    try:
        cache.note_branch(plan.repo, plan.branch or plan.revision, plan.revision)
    except OSError as error:
        raise faults.by_disk(error, cache.folder(plan.repo)) from None


def _own(plan: Plan) -> int:
    """Count the items that are the model itself, and not its projector."""
    return sum("mmproj" not in item.name for item in plan.items)


def _bring(plan: Plan, item: Item, source: Source, watch: Watcher) -> tuple[Path, int]:
    if item.here:
        return Path(item.here), 0
    remote = item.remote
    if not remote:
        raise PullError(f"{item.name} is nowhere to be had.", hint="Try another source.")
    fetched = fetch.fetch(plan.repo, remote, source, watch)
    try:
        path = cache.file_away(plan.repo, commit=plan.revision, name=item.name, etag=remote.etag)
    except OSError as error:
        raise faults.by_disk(error, cache.folder(plan.repo)) from None
    _check_header(path, item, plan)
    return path, fetched


def _check_header(path: Path, item: Item, plan: Plan) -> None:
    """Check that a whole file is what was asked for: a GGUF, of this family where that is known."""
    if is_split(item.name) and item is not plan.items[0]:
        return
    try:
        header = read_header(path)
    except (RunError, UsageError) as error:
        raise PullError(
            f"{item.name} is whole, but no good: {error.message}",
            hint="Choose another file, or tell its author.",
        ) from None
    architecture = header.metadata.get("general.architecture")
    if plan.size and "mmproj" not in item.name and architecture != "qwen35":
        raise PullError(
            f"{item.name} is a model of another kind ({architecture}), not {plan.title}.",
            hint="Is QWENPICK_CATALOG right? Remove the file with: qwenpick rm " + str(plan.size),
        )
