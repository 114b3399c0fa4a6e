"""Downloads: a plan, which is shown; a question, where one is asked; then the same plan done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from qwenpick import units
from qwenpick.errors import PullError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from qwenpick.app.ui import Ui
    from qwenpick.catalog.model import Catalog
    from qwenpick.pull.download import Pulled
    from qwenpick.pull.plan import Plan
    from qwenpick.pull.planner import PullOptions
    from qwenpick.pull.reference import Reference


class PullOutcome(Struct, frozen=True, kw_only=True):
    """A plan, and what it brought."""

    plan: Plan
    pulled: Pulled | None
    """None of a dry run."""


def pull(reference: Reference, catalog: Catalog, options: PullOptions, ui: Ui) -> PullOutcome:
    """Download a file; where Hugging Face cannot be reached, offer ModelScope's copy.

    Raises:
        UsageError: The repository has no such file.
        PullError: It could not be downloaded.
    """
    from qwenpick.hub_env import offline

    try:
        return _planned_and_done(reference, catalog, options, ui)
    except PullError as error:
        if options.source != "hf" or offline() or not getattr(error, "unreachable", False):
            raise
        try:
            wanted = ui.confirm(f"{error.message}\nDownload the same file from ModelScope?")
        except UsageError:  # nobody to ask
            error.hint += " ModelScope has the same file: add --source modelscope"
            raise error from None
        if not wanted:
            raise
        ui.status(f"{error.message} Downloading from ModelScope.")
    return _planned_and_done(reference, catalog, replace(options, source="modelscope"), ui)


def pull_asked(
    reference: Reference, catalog: Catalog, ui: Ui, *, vision: bool, what: str = ""
) -> Path:
    """Download a file after a question, which *what* begins where it is about a part of it.

    Raises:
        UsageError: There is nobody to ask.
        PullError: It could not be downloaded, or was refused.
    """
    from qwenpick.pull import download, planner

    options = planner.PullOptions(progress=ui, vision=vision)
    plan = planner.make_plan(reference, catalog, options)
    if not plan.missing:  # another tool's copy
        return download.download(plan, ui).path
    missing = f"{what}{plan.title} is not installed."
    if not ui.confirm(f"{missing} Download {units.download(plan.missing)}?"):
        raise PullError(missing, hint="See installed models: qwenpick list")
    return download.download(plan, ui).path


def _planned_and_done(
    reference: Reference, catalog: Catalog, options: PullOptions, ui: Ui
) -> PullOutcome:
    from qwenpick.pull import download, planner

    plan = planner.make_plan(reference, catalog, options)
    for line in _plan_lines(plan):
        ui.status(line)
    if options.dry_run:
        return PullOutcome(plan=plan, pulled=None)
    pulled = download.download(plan, ui)
    ui.status(f"checked: sha256 {pulled.sha256[:8]}...")
    return PullOutcome(plan=plan, pulled=pulled)


def _plan_lines(plan: Plan) -> Iterator[str]:
    """Say what a pull will do: what, from where, its size, where to, and what is installed."""
    if not plan.missing:
        yield f"{plan.title} is already installed ({plan.items[0].source})."
        return
    kept = plan.bytes - plan.missing
    begun = f", {units.download(kept)} already downloaded" if kept else ""
    origin = f"{plan.repo} ({plan.source}, {plan.revision[:8]})"
    yield f"{plan.title} from {origin}, {units.download(plan.bytes)}{begun}"
    if len(plan.items) > 1:
        for item in plan.items:
            state = "installed" if not item.missing else units.download(item.bytes)
            yield f"  {item.name}, {state}"
    room = "" if plan.missing <= plan.free else f": {units.download(plan.missing)} do not fit"
    yield f"into {plan.into}; {units.download(plan.free)} free{room}"
