"""The engine's build: `engine` says which is here and which fits, `engine install` puts it in."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from msgspec import Struct, to_builtins

from qwenpick.cli.options import Json, Yes
from qwenpick.cli.output import ask, emit, status
from qwenpick.errors import RunError
from qwenpick.hardware import health

if TYPE_CHECKING:
    from qwenpick.hardware.build import Build, Command
    from qwenpick.hardware.machine import EngineBuild, Machine

app = typer.Typer(rich_markup_mode=None)


class EngineResult(Struct, frozen=True, kw_only=True):
    """The engine that is here, and the one that fits."""

    here: EngineBuild
    fits: Build
    commands: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Give the document of `engine --json`."""
        fits = {"backend": self.fits.backend, "command": " && ".join(self.commands)}
        return {"here": to_builtins(self.here), "fits": fits}

    def render(self) -> None:
        """Show them to a person."""
        from qwenpick.cli.pages import machine_pages

        machine_pages.engine(self.here, self.fits, self.commands)


@app.callback(invoke_without_command=True)
def engine(context: typer.Context, as_json: Json = False) -> None:
    """Show which engine build is here and which one fits this machine."""
    if context.invoked_subcommand is None:
        from qwenpick.hardware.probe import probe

        emit(_engines(probe()), as_json=as_json)


@app.command()
def install(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the command, run nothing.")
    ] = False,
    machine_file: Annotated[
        Path | None,
        typer.Option("--machine", metavar="FILE", help="With --dry-run: for that machine."),
    ] = None,
    yes: Yes = False,
) -> None:
    """Install the build that fits this machine into this environment."""
    from qwenpick.hardware.probe import from_file, probe

    if machine_file is not None:
        machine, dry_run = from_file(machine_file), True
    else:
        machine = probe()
    fits = health.fitting_here(machine)
    steps = _steps(fits, machine.engine)
    if dry_run:
        sys.stdout.write("".join(f"{step}\n" for step in steps))
        return
    for step in steps:
        status(str(step))
    if not ask(f"Install this engine ({fits.backend}: {fits.reason})?", yes=yes):
        return
    _install(steps, machine.engine)
    status(f"The engine starts: {fits.backend}.")


def _engines(machine: Machine) -> EngineResult:
    fits = health.fitting_here(machine)
    steps = _steps(fits, machine.engine)
    return EngineResult(here=machine.engine, fits=fits, commands=tuple(map(str, steps)))


def _steps(fits: Build, here: EngineBuild) -> list[Command]:
    """Give what has to be run in this environment."""
    import shutil

    from qwenpick.hardware.build import Environment, commands

    prefix = Path(sys.prefix)
    place = Environment(
        python=sys.executable,
        prefix=prefix,
        is_own=sys.prefix != sys.base_prefix or (prefix / "conda-meta").is_dir(),
        which=shutil.which,
        has_pip=importlib.util.find_spec("pip") is not None,
    )
    return commands(fits, place, _others(), replace=here.installed)


def _others() -> list[str]:
    """Give what the engine's extra names besides the engine, as our own metadata says it."""
    from importlib.metadata import requires

    named = [line.partition(";") for line in requires("qwenpick") or []]
    return [
        requirement.strip()
        for requirement, _, marker in named
        if 'extra == "engine"' in marker.replace("'", '"')
        and not requirement.startswith("llama")
        and importlib.util.find_spec(_MODULES.get(_bare(requirement), _bare(requirement))) is None
    ]


_MODULES = {"pillow": "PIL"}
"""Modules that are not called as their packages are."""


def _bare(requirement: str) -> str:
    """Take the version off a requirement."""
    return requirement.partition(">")[0].strip().casefold()


def _install(steps: list[Command], here: EngineBuild) -> None:
    """Run the steps, try the new engine, and put the old one back where it does not start.

    Raises:
        RunError: A step failed, or the new engine does not start.
    """
    import shutil

    kept = _keep() if here.installed else None
    problem = "it was interrupted"
    try:
        problem = _run(steps)
        if not problem:
            trial = health.try_engine()
            problem = "" if trial.started else f"it does not start: {trial.problem}"
    finally:
        if kept:
            if problem:
                _put_back(kept)
            shutil.rmtree(kept)
    if problem:
        back = " The one before is back." if kept else ""
        raise RunError(
            f"The engine could not be installed: {problem}.{back}",
            hint="See what is missing with: qwenpick doctor",
        )


def _run(steps: list[Command]) -> str:
    """Run the steps, their talk on stderr; give what went wrong."""
    import subprocess

    for step in steps:
        own = os.environ.get("CMAKE_ARGS", "")
        extra = {"CMAKE_ARGS": f"{own} {step.cmake}".strip()} if step.cmake or own else {}
        done = subprocess.run(step.words, env=os.environ | extra, stdout=sys.stderr, check=False)  # noqa: S603 - what was shown and agreed to
        if done.returncode:
            return f"{step.words[0]} ended with code {done.returncode}"
    return ""


def _parts(folder: Path) -> list[Path]:
    """Give the package and its metadata, as they lie in a folder."""
    return [
        path
        for path in folder.iterdir()
        if path.name == "llama_cpp" or path.name.startswith("llama_cpp_python-")
    ]


def _keep() -> Path:
    """Keep the engine that is here aside: hard links, so that it costs no space."""
    import shutil

    found = importlib.util.find_spec("llama_cpp")
    site = Path(str(found.origin)).parent.parent if found else Path()
    aside = site / f".qwenpick-engine-{os.getpid()}"
    aside.mkdir()
    for path in _parts(site):
        shutil.copytree(path, aside / path.name, copy_function=os.link)
    return aside


def _put_back(kept: Path) -> None:
    """Put the engine back that was kept aside."""
    import shutil

    for path in _parts(kept.parent):
        shutil.rmtree(path)
    for path in _parts(kept):
        path.rename(kept.parent / path.name)
