"""Makes the plan of a pull: finds what is here, and asks a hub about the rest."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

from qwenpick.errors import PullError, UsageError
from qwenpick.pull import cache, fetch, local, verify
from qwenpick.pull.modelscope import DEFAULT_REVISION, ModelScope
from qwenpick.pull.plan import (
    Item,
    Plan,
    is_split,
    parts_of,
    quants_of,
    stays_inside,
    weights_of,
)
from qwenpick.pull.reference import DEFAULT_QUANT, HubFile, Size, unknown_quant
from qwenpick.pull.wire import patiently

if TYPE_CHECKING:
    from qwenpick.catalog.model import Catalog, Model, Projector, WeightsFile
    from qwenpick.pull.plan import RemoteFile, Source, Watcher
    from qwenpick.pull.reference import Reference

SOURCES = ("hf", "modelscope")


def check_source(name: str) -> None:
    """Check a source's name.

    Raises:
        UsageError: There is no such source.
    """
    if name not in SOURCES:
        raise UsageError(f"{name!r} is no source.", hint=f"Sources: {', '.join(SOURCES)}.")


def source_of(name: str) -> Source:
    """Give the hub of that name."""
    if name == "modelscope":
        return ModelScope()
    from qwenpick.pull.hub import Hub  # noqa: PLC0415 - 130 ms

    return Hub()


def make_plan(
    reference: Reference, catalog: Catalog, *, source: str, vision: bool, watch: Watcher
) -> Plan:
    """Say what a pull will do.

    Raises:
        UsageError: The repository has no such quantisation, or there is nothing to pull.
        PullError: The hub can't be asked, or offers other bytes than the catalogue's.
    """
    if isinstance(reference, Size):
        return _plan_size(reference, catalog, source, vision=vision, watch=watch)
    if isinstance(reference, HubFile):
        return _plan_hub_file(reference, source, vision=vision, watch=watch)
    found = local.find(reference, catalog)
    if not found:
        raise UsageError(
            "The demo's model is not installed.", hint='Type: pip install "qwenpick[demo]"'
        )
    item = Item(
        name=found.path.name,
        bytes=found.path.stat().st_size,
        sha256=None,
        here=str(found.path),
        source=found.source,
    )
    return _plan(found.path.name, found.source, "", "", (item,))


def _plan_size(
    reference: Size, catalog: Catalog, source: str, *, vision: bool, watch: Watcher
) -> Plan:
    model = catalog.model(reference.size)
    file = model.file(reference.quant or DEFAULT_QUANT) if model else None
    if not model or not file:
        known = [file.quant for file in model.files] if model else []
        raise unknown_quant(reference.quant or DEFAULT_QUANT, reference.size, known)
    wanted: list[WeightsFile | Projector] = [file]
    if vision:
        if not model.projector:
            raise UsageError(f"{model.name} has no vision projector.", hint="Leave out --vision.")
        wanted.append(model.projector)
    items = tuple(_item_of(part, model, source, watch) for part in wanted)
    revision = model.revision
    for item in items:
        if item.remote and (source == "hf" or not _agrees(item, model)):
            revision = item.remote.commit
    plan = _plan(f"{model.name} {file.quant}", source, model.repo, revision, items)
    return replace(plan, branch=model.revision, size=model.size, quant=file.quant)


def _agrees(item: Item, model: Model) -> bool:
    """Tell whether a file of another source is proved to be the catalogue's."""
    file = next((file for file in model.files if file.name == item.name), model.projector)
    return file is not None and file.sha256 is not None and file.sha256 == item.sha256


def _item_of(part: WeightsFile | Projector, model: Model, source: str, watch: Watcher) -> Item:
    """Plan one file of the catalogue: a copy that is here, else what a hub offers."""
    size = part.bytes if getattr(part, "bytes_exact", True) else None
    here = local.copy_of(
        part.name, repo=model.repo, revision=model.revision, size=size, sha256=part.sha256
    )
    if here:
        return _here(part.name, here, part.sha256)
    hub = source_of(source)
    repo, revision = model.repo, model.revision
    if source == "modelscope":
        repo = model.modelscope_repo or repo
        revision = model.modelscope_revision or DEFAULT_REVISION
    remote = patiently(lambda: hub.file(repo, revision, part.name), watch)
    if part.sha256 and remote.sha256 and remote.sha256 != part.sha256:
        raise PullError(
            f"{hub.name} offers other bytes for {part.name} than the catalogue knows "
            f"(sha256 {remote.sha256[:12]}..., not {part.sha256[:12]}...): refused.",
            hint="Is HF_ENDPOINT right? If its authors have a new file: qwenpick pull --refresh",
        )
    remote = replace(remote, sha256=part.sha256 or remote.sha256, bytes=remote.bytes or size)
    if not remote.sha256:
        watch.say(f"Neither the hub nor the catalogue has a sha256 of {part.name}.")
    if proved := local.copy_of(
        part.name, repo=model.repo, revision=model.revision, size=remote.bytes, sha256=remote.sha256
    ):
        return _here(part.name, proved, remote.sha256)
    return _remote_item(model.repo, remote, source)


def _plan_hub_file(reference: HubFile, source: str, *, vision: bool, watch: Watcher) -> Plan:
    hub = source_of(source)
    branch = "main" if source == "hf" else DEFAULT_REVISION
    repo = reference.repo
    try:
        known = reference.file and not is_split(reference.file) and not vision
        names = () if known else patiently(lambda: hub.names(repo, branch), watch)
        wanted = _chosen(reference, names)
        if vision:
            wanted = (*wanted, _projector(names, repo))
        items = []
        for name in wanted:
            remote = patiently(lambda name=name: hub.file(repo, branch, name), watch)  # type: ignore[misc]
            items.append(_hub_item(repo, remote, source))
    except PullError as error:
        found = local.of_hub(reference) if getattr(error, "unreachable", False) else None
        if not found or vision:
            raise
        watch.say(f"{error.message} Taking the copy that is here.")
        item = _here(found.path.name, found, None)
        return _plan(found.path.name, source, repo, cache.commit_of(repo, branch), (item,))
    commit = next((item.remote.commit for item in items if item.remote), branch)
    plan = _plan(f"{repo} {wanted[0]}", source, repo, commit, tuple(items))
    return replace(plan, branch=branch)


def _hub_item(repo: str, remote: RemoteFile, source: str) -> Item:
    path = cache.snapshot(repo, remote.commit, remote.name)
    whole = path.is_file() and remote.bytes in {None, path.stat().st_size}
    if whole and remote.sha256 in {None, verify.prove(path)}:
        return _here(remote.name, local.Found(path=path, source=source), remote.sha256)
    return _remote_item(repo, remote, source)


def _chosen(reference: HubFile, names: tuple[str, ...]) -> tuple[str, ...]:
    """Choose the files that a hub reference means."""
    if reference.file:
        return parts_of(reference.file, names) if is_split(reference.file) else (reference.file,)
    quants = quants_of(names)
    if not quants and not reference.quant:
        weights = [name for name in names if name.casefold().endswith(".gguf")]
        chosen = tuple(weights[:1]) if len(weights) == 1 else ()
    elif not reference.quant and len(quants) == 1:
        chosen = weights_of(names, quants[0])
    else:
        chosen = weights_of(names, reference.quant or DEFAULT_QUANT)
    if not chosen:
        if not any(name.casefold().endswith(".gguf") for name in names):
            raise UsageError(
                f"{reference.repo} has no .gguf file.", hint="Look for owner/NAME-GGUF."
            )
        raise unknown_quant(reference.quant or DEFAULT_QUANT, reference.repo, quants)
    for name in chosen:
        if not stays_inside(name):
            raise PullError(
                f"{reference.repo} names a file outside of its folder ({name}): refused.",
                hint="Do not trust this repository; choose another one.",
            )
    return chosen


def _projector(names: tuple[str, ...], repo: str) -> str:
    found = [name for name in names if "mmproj" in name.casefold() and stays_inside(name)]
    if not found:
        raise UsageError(f"{repo} has no vision projector.", hint="Leave out --vision.")
    return next((name for name in found if "f16" in name.casefold()), found[0])


def _here(name: str, found: local.Found, sha256: str | None) -> Item:
    return Item(
        name=name,
        bytes=found.path.stat().st_size,
        sha256=sha256,
        here=str(found.path),
        source=found.source,
    )


def _remote_item(repo: str, remote: RemoteFile, source: str) -> Item:
    if remote.bytes is None:
        raise PullError(f"The hub does not say how long {remote.name} is.", hint="Try a mirror.")
    partial = cache.partial(repo, remote.etag)
    try:
        done = partial.stat().st_size
    except OSError:
        done = 0
    if fetch.is_here(repo, remote):
        done = remote.bytes
    return Item(
        name=remote.name,
        bytes=remote.bytes,
        sha256=remote.sha256,
        source=source,
        remote=remote,
        partial=min(done, remote.bytes),
    )


def _plan(title: str, source: str, repo: str, revision: str, items: tuple[Item, ...]) -> Plan:
    place = cache.root()
    while not place.exists():
        place = place.parent
    return Plan(
        title=title,
        source=source,
        repo=repo,
        revision=revision,
        into=str(cache.folder(repo)) if repo else str(place),
        free=shutil.disk_usage(place).free,
        items=items,
    )
