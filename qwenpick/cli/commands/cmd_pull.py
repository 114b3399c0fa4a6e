"""Brings a model here: `pull`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer
from msgspec import Struct
from msgspec.structs import replace

from qwenpick import units
from qwenpick.cli.options import Json, ModelArgument, QuantOptions, Yes, spread
from qwenpick.cli.output import ask, emit, status
from qwenpick.errors import PullError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qwenpick.catalog.model import Catalog
    from qwenpick.pull.download import Pulled
    from qwenpick.pull.plan import Plan
    from qwenpick.pull.planner import PullOptions
    from qwenpick.pull.reference import Reference


class PullResult(Struct, frozen=True, kw_only=True):
    """The path of what was pulled; where it was not pulled, of where it would lie."""

    path: str
    bytes: int
    fetched: int
    sha256: str | None
    source: str
    plan: Plan | None = None
    """Of a dry run."""

    def to_json(self) -> dict[str, Any]:
        """Give the JSON document."""
        document = {
            "path": self.path,
            "bytes": self.bytes,
            "fetched": self.fetched,
            "sha256": self.sha256,
            "source": self.source,
        }
        if self.plan:
            document |= {
                "dry_run": True,
                "revision": self.plan.revision,
                "missing": self.plan.missing,
                "free": self.plan.free,
                "basis": "table" if self.plan.by_table else "hub",
            }
        return document

    def render(self) -> None:
        """Write the path."""
        sys.stdout.write(self.path + "\n")


@spread
def pull(
    quants: QuantOptions,
    model: ModelArgument = None,
    vision: Annotated[bool, typer.Option("--vision", help="Its vision projector, too.")] = False,
    source: Annotated[
        str, typer.Option(metavar="NAME", help="hf, or modelscope: the same bytes.")
    ] = "hf",
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Ask the hub for the catalogue's sizes first.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the plan, fetch nothing.")
    ] = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Bring a model's file here, and print its path.

    It goes into the hub cache. Copies in LM Studio's folder, in llama.cpp's cache and in the
    folders that QWENPICK_MODELS names are used where they lie, once their sha256 is proved.
    """
    from qwenpick.catalog.table import load
    from qwenpick.cli.progress import Progress
    from qwenpick.hub_env import offline
    from qwenpick.pull import planner
    from qwenpick.pull import refresh as refreshing

    planner.check_source(source)
    progress = Progress()
    if refresh:
        count = refreshing.refresh(load(), progress)
        status(f"The catalogue has {count} files as the hub has them now.")
        if not model:
            return
    catalog = load()
    reference = reference_of(model, quants.chosen(), catalog)
    _note_ollama(reference)
    options = planner.PullOptions(progress=progress, source=source, vision=vision, dry_run=dry_run)
    try:
        result = _pulled(reference, catalog, options)
    except PullError as error:
        progress.end()
        if source != "hf" or offline() or not getattr(error, "unreachable", False):
            raise
        if not _take_modelscope(error, model or "", quants.chosen(), yes=yes):
            raise
        result = _pulled(reference, catalog, replace(options, source="modelscope"))
    finally:
        progress.end()
    emit(result, as_json=as_json)


def reference_of(model: str | None, quant: str | None, catalog: Catalog) -> Reference:
    """Read a MODEL; without one, take what `recommend` picks."""
    from qwenpick.pull.reference import parse

    return parse(model, quant, catalog) if model else picked_reference(quant, catalog)


def picked_reference(quant: str | None, catalog: Catalog) -> Reference:
    """Give what `recommend` picks on this machine, as a reference."""
    from qwenpick.cli.commands.cmd_recommend import MachineOptions, RequestOptions
    from qwenpick.pick.recommendation import recommend
    from qwenpick.pull.reference import Size

    wish = RequestOptions().wish(None, quant, catalog)
    pick = recommend(MachineOptions().question(wish, catalog), everything=False).pick
    return Size(size=pick.model.size, quant=pick.file.quant)


def _pulled(reference: Reference, catalog: Catalog, options: PullOptions) -> PullResult:
    from qwenpick.pull import download, planner

    plan = planner.make_plan(reference, catalog, options)
    for line in _plan_lines(plan):
        status(line)
    if options.dry_run:
        return _planned(plan)
    pulled = download.download(plan, planner.source_of(options.source), options.progress)
    options.progress.status(f"checked: sha256 {pulled.sha256[:8]}...")
    return _result(pulled)


def _planned(plan: Plan) -> PullResult:
    first = plan.items[0]
    return PullResult(
        path=first.here or f"{plan.into}/snapshots/{plan.revision}/{first.name}",
        bytes=plan.bytes,
        fetched=0,
        sha256=first.sha256,
        source=first.source,
        plan=plan,
    )


def _result(pulled: Pulled) -> PullResult:
    return PullResult(
        path=str(pulled.path),
        bytes=pulled.bytes,
        fetched=pulled.fetched,
        sha256=pulled.sha256,
        source=pulled.source,
    )


def _plan_lines(plan: Plan) -> Iterator[str]:
    """Say what a pull will do: what, from where, how much, where to, and what is here."""
    if not plan.missing:
        yield f"{plan.title} is here already ({plan.items[0].source})."
        return
    kept = plan.bytes - plan.missing
    here = f", {units.download(kept)} of it here" if kept else ""
    origin = f"{plan.repo} ({plan.source}, {plan.revision[:8]})"
    yield f"{plan.title} from {origin}, {units.download(plan.bytes)}{here}"
    if len(plan.items) > 1:
        for item in plan.items:
            state = "here" if not item.missing else units.download(item.bytes)
            yield f"  {item.name}, {state}"
    room = "" if plan.missing <= plan.free else f": {units.download(plan.missing)} do not fit"
    yield f"into {plan.into}; {units.download(plan.free)} free{room}"


def _take_modelscope(error: PullError, model: str, quant: str | None, *, yes: bool) -> bool:
    """Offer the second source; without a terminal, name the command in the error's hint."""
    if not (yes or (sys.stdin.isatty() and sys.stderr.isatty())):
        words = ["qwenpick pull", model, f"--quant {quant}" if quant else "", "--source modelscope"]
        error.hint += f" Or from the second source: {' '.join(filter(None, words))}"
        return False
    status(error.message)
    return ask("Fetch it from ModelScope, the same bytes?", yes=yes)


def _note_ollama(reference: Reference) -> None:
    from qwenpick.pull.local import ollama_tags
    from qwenpick.pull.reference import Size

    if isinstance(reference, Size) and (tags := ollama_tags()):
        status(
            f"Ollama has {', '.join(tags)}: llama.cpp can't load its files, so they don't serve."
        )
