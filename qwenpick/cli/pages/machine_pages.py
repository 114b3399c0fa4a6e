"""The pages of `probe`, `doctor` and `engine`: fit to be pasted into a bug report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qwenpick import units
from qwenpick.cli import render

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from qwenpick.app.setup import EnginePlan
    from qwenpick.hardware.checks import Check
    from qwenpick.hardware.machine import EngineBuild, Gpu, Machine, Memory

MARKS = {"good": "ok", "warning": "note", "bad": "BAD"}


def probe(machine: Machine) -> None:
    """Show a machine."""
    out = render.console()
    out.print(f"{machine.os}, {machine.arch}", style="bold")
    rows = [
        ("Processor", _cpu(machine)),
        ("Memory", _memory(machine.memory)),
        *(("GPU", _gpu(gpu)) for gpu in machine.gpus),
        *([] if machine.gpus else [("GPU", "none that the engine could use")]),
        ("Disk", _disk(machine.disk.path, machine.disk.free)),
        ("Engine", engine_words(machine.engine)),
        *(("Note", note) for note in machine.notes),
    ]
    render.pairs(out, rows)


def doctor(checks: Sequence[Check]) -> None:
    """Show the checks, a line each, and how to fix each that is not good."""
    out = render.console()
    width = max(len(check.name) for check in checks)
    for check in checks:
        style = {"bad": "bold red", "warning": "yellow"}.get(check.state, "green")
        out.print(f"{MARKS[check.state]:<4}", style=style, end=" ")
        out.print(f"{check.name:<{width}}  {check.found}", soft_wrap=True)
        if check.fix:
            out.print(f"{'':<{width + 7}}{check.fix}", soft_wrap=True)


def engine(plan: EnginePlan) -> None:
    """Show the installed engine and the one that fits."""
    out = render.console()
    fits = f"{plan.fits.backend}: {plan.fits.reason}"
    render.pairs(out, [("Installed", engine_words(plan.here)), ("Fits", fits)])
    if plan.fits.backend not in plan.here.backends:
        out.print("\nqwenpick engine install runs:", style="dim")
        for step in plan.steps:
            out.print(f"  {step}", soft_wrap=True)


def engine_words(build: EngineBuild) -> str:
    """Say which engine is here."""
    if not build.installed:
        return "not installed: qwenpick engine install"
    knows = {True: "", False: ", too old for Qwen3.5", None: ""}[build.knows_qwen35]
    backends = " and ".join(build.backends) or "an unknown backend"
    return f"llama-cpp-python {build.version or 'of unknown version'} for {backends}{knows}"


def _cpu(machine: Machine) -> str:
    cpu = machine.cpu
    cores = f"{cpu.physical_cores} cores" if cpu.physical_cores else "cores not known"
    parts = [cpu.name or "not known", cores, f"{cpu.usable_threads} threads for the engine"]
    if cpu.quota is not None:
        parts.append(f"quota {cpu.quota:g} cores")
    return ", ".join(parts) + (f" ({' '.join(cpu.features)})" if cpu.features else "")


def _memory(memory: Memory) -> str:
    text = f"{units.memory(memory.available)} available of {units.memory(memory.total)}"
    if memory.limit is not None:
        text += f"; {memory.limit_source}: {units.memory(memory.limit)}"
    return text + _rate(memory.bandwidth_bytes_per_second)


def _gpu(gpu: Gpu) -> str:
    return ", ".join(_gpu_parts(gpu)) + _rate(gpu.bandwidth_bytes_per_second)


def _gpu_parts(gpu: Gpu) -> Iterator[str]:
    yield gpu.name
    if gpu.unified:
        yield "memory shared with the CPU"
    if gpu.free is not None and gpu.total is not None:
        yield f"{units.memory(gpu.free)} free of {units.memory(gpu.total)}"
    elif gpu.total is not None:
        yield units.memory(gpu.total)
    elif not gpu.unified:
        yield "memory not known"
    if gpu.driver:
        yield f"driver {gpu.driver}"
    if gpu.compute:
        yield f"compute {gpu.compute}"


def _rate(bandwidth: float | None) -> str:
    return f", {bandwidth / 1e9:.0f} GB/s" if bandwidth else ""


def _disk(path: str, free: int | None) -> str:
    """Name the folder without the person's name."""
    try:
        shown = str(Path("~") / Path(path).relative_to(Path.home()))
    except (ValueError, RuntimeError):
        shown = path
    return f"{units.download(free)} free, {shown}" if free is not None else shown
