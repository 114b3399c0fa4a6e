"""Installs the engine build that fits: plan, question, steps; the old one back if it fails."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from qwenpick.errors import RunError
from qwenpick.hardware import health
from qwenpick.hardware.build import Build, Command, Environment, commands

if TYPE_CHECKING:
    from qwenpick.app.ui import Ui
    from qwenpick.hardware.machine import EngineBuild, Machine

_MODULES = {"pillow": "PIL"}
"""Modules that are not named as their packages are."""


class EnginePlan(Struct, frozen=True, kw_only=True):
    """The installed engine, the build that fits, and the commands that install that one."""

    here: EngineBuild
    fits: Build
    steps: tuple[Command, ...]


def plan_engine(machine: Machine) -> EnginePlan:
    """Plan the installation of the engine that fits a machine into this environment.

    Raises:
        RunError: Nothing can be installed into this environment.
    """
    fits, prefix = health.fitting_here(machine), Path(sys.prefix)
    place = Environment(
        python=sys.executable,
        prefix=prefix,
        is_own=sys.prefix != sys.base_prefix or (prefix / "conda-meta").is_dir(),
        which=shutil.which,
        has_pip=importlib.util.find_spec("pip") is not None,
    )
    steps = commands(fits, place, _missing_packages(), replace=machine.engine.installed)
    return EnginePlan(here=machine.engine, fits=fits, steps=tuple(steps))


def install_engine(plan: EnginePlan, ui: Ui) -> bool:
    """Ask, run the steps, and try the new engine; put the old one back where it does not start.

    Returns:
        False where the person refused.

    Raises:
        UsageError: There is nobody to ask.
        RunError: A step failed, or the new engine does not start.
    """
    for step in plan.steps:
        ui.status(str(step))
    if not ui.confirm(f"Install this engine ({plan.fits.backend}: {plan.fits.reason})?"):
        return False
    kept = _keep() if plan.here.installed else None
    problem = "it was interrupted"
    try:
        problem = _run(plan.steps, ui) or _try()
    finally:
        if kept:
            if problem:
                _put_back(kept)
            shutil.rmtree(kept)
    if problem:
        back = " The previous engine was restored." if kept else ""
        raise RunError(
            f"The engine could not be installed: {problem}.{back}",
            hint="See what is missing: qwenpick doctor",
        )
    ui.status(f"The engine is installed and starts: {plan.fits.backend}.")
    return True


def _missing_packages() -> list[str]:
    """Give what the extra `engine` needs besides the engine, by our own metadata."""
    from importlib.metadata import requires

    named = [line.partition(";") for line in requires("qwenpick") or []]
    packages = [
        requirement.strip()
        for requirement, _, marker in named
        if 'extra == "engine"' in marker.replace("'", '"') and not requirement.startswith("llama")
    ]
    return [package for package in packages if importlib.util.find_spec(_module(package)) is None]


def _module(requirement: str) -> str:
    name = requirement.partition(">")[0].strip().casefold()
    return _MODULES.get(name, name)


def _run(steps: tuple[Command, ...], ui: Ui) -> str:
    """Run the steps, showing what they say; give what went wrong."""
    for step in steps:
        own = os.environ.get("CMAKE_ARGS", "")
        extra = {"CMAKE_ARGS": f"{own} {step.cmake}".strip()} if step.cmake or own else {}
        with subprocess.Popen(  # noqa: S603 - what was shown and agreed to
            step.words,
            env=os.environ | extra,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process:
            for line in process.stdout or ():
                ui.status(line.rstrip())
        if process.returncode:
            return f"{step.words[0]} ended with code {process.returncode}"
    return ""


def _try() -> str:
    trial = health.try_engine()
    return "" if trial.started else f"it does not start: {trial.problem}"


def _parts(folder: Path) -> list[Path]:
    """Give the engine's package and its metadata in a folder."""
    return [
        path
        for path in folder.iterdir()
        if path.name == "llama_cpp" or path.name.startswith("llama_cpp_python-")
    ]


def _keep() -> Path:
    """Keep the installed engine aside, as hard links, so that it costs no space."""
    found = importlib.util.find_spec("llama_cpp")
    site = Path(str(found.origin)).parent.parent if found else Path()
    aside = site / f".qwenpick-engine-{os.getpid()}"
    aside.mkdir()
    for path in _parts(site):
        shutil.copytree(path, aside / path.name, copy_function=os.link)
    return aside


def _put_back(kept: Path) -> None:
    for path in _parts(kept.parent):
        shutil.rmtree(path)
    for path in _parts(kept):
        path.rename(kept.parent / path.name)
