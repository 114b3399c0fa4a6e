"""The machine, as it is: every source asked once, put together."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from qwenpick.hardware import system
from qwenpick.hardware.cpu import cpu
from qwenpick.hardware.engine import engine
from qwenpick.hardware.gpus import gpus
from qwenpick.hardware.machine import Machine
from qwenpick.hardware.sources import Sources

if TYPE_CHECKING:
    from qwenpick.hardware.machine import Memory


def probe(sources: Sources | None = None) -> Machine:
    """Look at this machine, or at what *sources* shows of another one.

    Nothing is written, nothing is sent. What can't be found out is None, and why is in
    the notes.
    """
    sources = sources or Sources()
    memory = system.memory(sources)
    build = engine(sources)
    found, notes = gpus(sources, memory, build)
    shared = next((gpu for gpu in found if gpu.unified), None)
    if shared is not None and memory.bandwidth_bytes_per_second is None:
        memory = replace(memory, bandwidth_bytes_per_second=shared.bandwidth_bytes_per_second)
    return Machine(
        os=system.operating_system(sources),
        arch=sources.arch,
        cpu=cpu(sources),
        memory=memory,
        gpus=tuple(found),
        disk=system.disk(sources),
        engine=build,
        notes=(*_memory_notes(sources, memory), *notes),
    )


def _memory_notes(sources: Sources, memory: Memory) -> list[str]:
    """Say what stands between the machine's memory and this process."""
    notes = []
    if system.is_wsl(sources):
        notes.append(
            "WSL2: Windows lends this system half of its memory unless memory= in "
            ".wslconfig says otherwise."
        )
    if memory.bandwidth_bytes_per_second is None:
        notes.append("The memory's bandwidth is not known; `qwenpick bench` measures it.")
    return notes
