"""The engine's build: `engine` shows it, `engine install` installs the one that fits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec import Struct

from qwenpick.cli.documents import Document, Part
from qwenpick.cli.options import Json, Yes, flag, option
from qwenpick.cli.output import emit, write
from qwenpick.hardware.machine import EngineBuild

if TYPE_CHECKING:
    from qwenpick.app.setup import EnginePlan

app = typer.Typer(rich_markup_mode=None)


class FittingBuild(Part, frozen=True, kw_only=True):
    """The build that fits this machine, and the command that installs it."""

    backend: str
    command: str


class EngineDocument(Document, frozen=True, kw_only=True):
    """What `engine --json` prints."""

    here: EngineBuild
    fits: FittingBuild


class EngineResult(Struct, frozen=True):
    """The installed engine, and the one that fits."""

    plan: EnginePlan

    def document(self) -> EngineDocument:
        """Give what `engine --json` prints."""
        command = " && ".join(map(str, self.plan.steps))
        fits = FittingBuild(backend=self.plan.fits.backend, command=command)
        return EngineDocument(here=self.plan.here, fits=fits)

    def render(self) -> None:
        """Show them to a person."""
        from qwenpick.cli.pages import machine_pages

        machine_pages.engine(self.plan)


@app.callback(invoke_without_command=True)
def engine(context: typer.Context, as_json: Json = False) -> None:
    """Show the installed engine and what fits."""
    if context.invoked_subcommand is None:
        from qwenpick.app.setup import plan_engine
        from qwenpick.hardware.probe import probe

        emit(EngineResult(plan_engine(probe())), as_json=as_json)


@app.command()
def install(
    dry_run: Annotated[bool, flag("--dry-run", "Show the command, run nothing.")] = False,
    machine_file: Annotated[
        Path | None, option("FILE", "With --dry-run: for that machine.", "--machine")
    ] = None,
    yes: Yes = False,
) -> None:
    """Install the engine that fits this machine."""
    from qwenpick.app.setup import install_engine, plan_engine
    from qwenpick.cli.ui import TerminalUi
    from qwenpick.hardware.probe import from_file, probe

    plan = plan_engine(from_file(machine_file) if machine_file else probe())
    if dry_run or machine_file:
        write("".join(f"{step}\n" for step in plan.steps))
        return
    with TerminalUi(yes=yes) as ui:
        install_engine(plan, ui)
