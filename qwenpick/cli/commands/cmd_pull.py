"""Download a model: `pull`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import UNSET, UnsetType, convert

from qwenpick import units
from qwenpick.cli.documents import Document
from qwenpick.cli.options import Json, ModelArgument, QuantOptions, Yes, flag, option, spread
from qwenpick.cli.output import emit, status, write

if TYPE_CHECKING:
    from qwenpick.pull.plan import Plan
    from qwenpick.pull.reference import Reference


class PullDocument(Document, frozen=True, kw_only=True):
    """What `pull --json` prints; of a dry run, what would be downloaded."""

    path: Path
    bytes: int
    fetched: int
    sha256: str | None
    source: str
    dry_run: bool | UnsetType = UNSET
    revision: str | UnsetType = UNSET
    missing: int | UnsetType = UNSET
    free: int | UnsetType = UNSET
    basis: Literal["table", "hub"] | UnsetType = UNSET
    """Whether a dry run asked the hub, or could only take the catalogue's figures."""

    def render(self) -> None:
        """Write the path."""
        write(f"{self.path}\n")


@spread
def pull(
    quants: QuantOptions,
    model: ModelArgument = None,
    vision: Annotated[bool, flag("--vision", "Its vision projector, too.")] = False,
    source: Annotated[
        Literal["hf", "modelscope"], option("NAME", "hf, or modelscope: the same files.")
    ] = "hf",
    refresh: Annotated[bool, flag("--refresh", "Update the catalogue from the hub first.")] = False,
    dry_run: Annotated[bool, flag("--dry-run", "Show the plan, download nothing.")] = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Download a model and print its path.

    It goes into the Hugging Face cache. Copies in LM Studio's folder, in llama.cpp's cache and in
    the folders that QWENPICK_MODELS names are used where they are, once their sha256 is checked.
    """
    from qwenpick.app import models, pulls
    from qwenpick.app.pick_input import ask_machine
    from qwenpick.catalog.table import load
    from qwenpick.cli.ui import TerminalUi
    from qwenpick.pick.request import Request
    from qwenpick.pull import planner
    from qwenpick.pull.refresh import refresh as refresh_catalog

    with TerminalUi(yes=yes) as ui:
        if refresh:
            count = refresh_catalog(load(), ui)
            ui.status(f"Updated {units.count(count, 'file')} in the catalogue.")
            if not model:
                return
        catalog = load()
        reference = models.picked(model, quants.chosen(), ask_machine(Request(), catalog))
        _note_ollama(reference)
        options = planner.PullOptions(progress=ui, source=source, vision=vision, dry_run=dry_run)
        outcome = pulls.pull(reference, catalog, options, ui)
    plan, pulled = outcome.plan, outcome.pulled
    emit(
        convert(pulled, PullDocument, from_attributes=True) if pulled else _planned(plan),
        as_json=as_json,
    )


def _planned(plan: Plan) -> PullDocument:
    first = plan.items[0]
    return PullDocument(
        path=Path(first.path or f"{plan.into}/snapshots/{plan.revision}/{first.name}"),
        bytes=plan.bytes,
        fetched=0,
        sha256=first.sha256,
        source=first.source,
        dry_run=True,
        revision=plan.revision,
        missing=plan.missing,
        free=plan.free,
        basis="table" if plan.by_table else "hub",
    )


def _note_ollama(reference: Reference) -> None:
    from qwenpick.pull.local import ollama_tags
    from qwenpick.pull.reference import Size

    if isinstance(reference, Size) and (tags := ollama_tags()):
        status(f"Ollama's copies ({', '.join(tags)}) are not used: llama.cpp cannot load them.")
