"""Makes the plan of a pull: finds what is installed, and asks a hub about the rest."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from qwenpick.errors import PullError, UsageError
from qwenpick.hub_env import cache_root
from qwenpick.pull import cache, failures, fetch, local, names
from qwenpick.pull.failures import HubError
from qwenpick.pull.plan import Asked, Item, Plan
from qwenpick.pull.reference import DEFAULT_QUANT, HubFile, Size, unknown_quant
from qwenpick.pull.retry import with_retries

if TYPE_CHECKING:
    from qwenpick.catalog.model import Catalog, Model, Projector, WeightsFile
    from qwenpick.pull.plan import Progress, RemoteFile, Source
    from qwenpick.pull.reference import Reference

_BRANCHES = {"hf": "main", "modelscope": "master"}
"""What a repository's newest files stand under."""


class PullOptions(Struct, frozen=True, kw_only=True):
    """How a plan is made: from which hub, with a projector or without, and who is told."""

    progress: Progress
    source: str = "hf"
    vision: bool = False
    dry_run: bool = False
    """The catalogue's data is enough where no hub can be asked."""


def source_of(name: str) -> Source:
    """Give the hub of that name.

    Raises:
        PullError: A variable of the environment cannot be used.
    """
    if name == "modelscope":
        from qwenpick.pull.sources.modelscope import ModelScope

        return ModelScope()
    from qwenpick.pull.sources.hub import Hub

    return Hub()


def make_plan(reference: Reference, catalog: Catalog, options: PullOptions) -> Plan:
    """Say what a pull will do.

    Raises:
        UsageError: The repository has no such quantisation, or there is nothing to download.
        PullError: The hub cannot be asked, or offers other bytes than the catalogue's.
    """
    if isinstance(reference, Size):
        return _plan_size(reference, catalog, options)
    if isinstance(reference, HubFile):
        return _plan_hub_file(reference, catalog, options)
    found = local.find(reference, catalog, options.progress)
    if not found:
        raise UsageError(
            "The demo model is not installed.", hint='Run: pip install "qwenpick[demo]"'
        )
    item = _installed_item(found.path.name, found, None)
    return _plan(found.path.name, found.source, "", "", (item,))


def _plan_size(reference: Size, catalog: Catalog, options: PullOptions) -> Plan:
    model = catalog.model(reference.size)
    file = model.file(reference.quant or DEFAULT_QUANT) if model else None
    if not model or not file:
        known = [file.quant for file in model.files] if model else []
        raise unknown_quant(reference.quant or DEFAULT_QUANT, reference.size, known)
    wanted: list[WeightsFile | Projector] = [file]
    if options.vision:
        if not model.projector:
            raise UsageError(f"{model.name} has no vision projector.", hint="Leave out --vision.")
        wanted.append(model.projector)
    try:
        items = tuple(_part(part, model, options) for part in wanted)
    except HubError as error:
        if not (options.dry_run and error.unreachable):
            raise
        options.progress.status(f"{error.message} Showing the built-in catalogue's data instead.")
        items = tuple(_part(part, model, options, ask=False) for part in wanted)
    revision = model.revision
    for part, item in zip(wanted, items, strict=True):
        proved = part.sha256 is not None and part.sha256 == item.sha256
        if item.remote and (options.source == "hf" or not proved):
            revision = item.remote.commit
    plan = _plan(f"{model.name} {file.quant}", options.source, model.repo, revision, items)
    asked = Asked(
        model=model.name,
        quant=file.quant,
        pinned=file.sha256 is not None,
        shapes={known.name: known.architecture for known in catalog.models},
    )
    return replace(plan, branch=model.revision, asked=asked)


def _part(
    part: WeightsFile | Projector, model: Model, options: PullOptions, *, ask: bool = True
) -> Item:
    """Plan one file of the catalogue: a copy that is here, else what a hub or the table offers."""
    listed = local.listed(part, model)
    if copy := local.copy_of(model.repo, listed, options.progress):
        return _installed_item(part.name, copy, part.sha256)
    if not ask:
        partial = cache.partial_bytes(model.repo, listed.etag) if listed.etag else 0
        return Item(
            name=part.name,
            bytes=part.bytes,
            sha256=part.sha256,
            source=options.source,
            partial=partial,
        )
    remote = _offered(part, model, options)
    sha256, size = part.sha256 or remote.sha256, remote.bytes or listed.bytes
    if not sha256:
        options.progress.status(f"No sha256 of {part.name} is known: its bytes cannot be checked.")
    return _item(model.repo, replace(remote, sha256=sha256, bytes=size), options)


def _offered(part: WeightsFile | Projector, model: Model, options: PullOptions) -> RemoteFile:
    """Ask the hub for a file of the catalogue, which must be the one that the catalogue means."""
    hub = source_of(options.source)
    repo, revision = model.repo, model.revision
    if options.source == "modelscope":
        repo = model.modelscope_repo or repo
        revision = model.modelscope_revision or _BRANCHES["modelscope"]
    remote = with_retries(lambda: hub.file(repo, revision, part.name), options.progress)
    if part.sha256 and remote.sha256 and remote.sha256 != part.sha256:
        raise PullError(
            f"{hub.name} offers other bytes for {part.name} than the catalogue knows "
            f"(sha256 {remote.sha256[:12]}..., not {part.sha256[:12]}...): refused.",
            hint="Is HF_ENDPOINT right? If its authors have a new file: qwenpick pull --refresh",
        )
    return remote


def _plan_hub_file(reference: HubFile, catalog: Catalog, options: PullOptions) -> Plan:
    hub, progress = source_of(options.source), options.progress
    branch = _BRANCHES[options.source]
    repo = reference.repo
    try:
        wanted = _wanted(reference, hub, branch, options)
        items = []
        for name in wanted:
            remote = with_retries(lambda name=name: hub.file(repo, branch, name), progress)  # type: ignore[misc]
            items.append(_item(repo, remote, options))
    except HubError as error:
        offline = error.unreachable and not options.vision
        found = local.find(reference, catalog) if offline else None
        if not found:
            raise
        progress.status(f"{error.message} Using the installed copy.")
        item = _installed_item(found.path.name, found, None)
        return _plan(found.path.name, options.source, repo, cache.commit_of(repo, branch), (item,))
    commit = next((item.remote.commit for item in items if item.remote), branch)
    plan = _plan(wanted[0].rsplit("/", 1)[-1], options.source, repo, commit, tuple(items))
    quant = None if reference.file else names.quant_of(wanted[0])
    return replace(plan, branch=branch, asked=Asked(quant=quant))


def _wanted(reference: HubFile, hub: Source, branch: str, options: PullOptions) -> tuple[str, ...]:
    """Choose the files that a hub reference means; a file that is named needs no listing."""
    if reference.file and not names.is_split(reference.file) and not options.vision:
        return (reference.file,)
    listed = with_retries(lambda: hub.names(reference.repo, branch), options.progress)
    wanted = names.chosen(reference, listed)
    if not options.vision:
        return wanted
    return (*wanted, names.projector(listed, reference.repo, wanted[0]))


def _installed_item(name: str, found: local.Found, sha256: str | None) -> Item:
    size = cache.size_of(found.path) or 0
    return Item(name=name, bytes=size, sha256=sha256, path=str(found.path), source=found.source)


def _item(repo: str, remote: RemoteFile, options: PullOptions) -> Item:
    """Plan a file that a hub offers: a copy that is here, else a download."""
    if not remote.bytes:
        raise PullError(
            f"The hub does not give the size of {remote.name}.", hint="Try another mirror."
        )
    if copy := local.copy_of(repo, remote, options.progress):
        return _installed_item(remote.name, copy, remote.sha256)
    done = cache.partial_bytes(repo, remote.etag)
    if fetch.is_complete(repo, remote, options.progress):
        done = remote.bytes
    return Item(
        name=remote.name,
        bytes=remote.bytes,
        sha256=remote.sha256,
        source=options.source,
        remote=remote,
        partial=min(done, remote.bytes),
    )


def _plan(title: str, source: str, repo: str, revision: str, items: tuple[Item, ...]) -> Plan:
    try:
        place = cache_root()
        while not place.exists():
            place = place.parent
        free = shutil.disk_usage(place).free
    except OSError as error:
        raise failures.by_disk(error, cache_root()) from None
    return Plan(
        title=title,
        source=source,
        repo=repo,
        revision=revision,
        into=str(cache.folder(repo)) if repo else str(place),
        free=free,
        items=items,
        by_table=any(not (item.path or item.remote) for item in items),
    )
