"""The machine: every source asked once, put together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from qwenpick import files
from qwenpick.hardware import measurements, system
from qwenpick.hardware.cpu import cpu
from qwenpick.hardware.engine_build import engine
from qwenpick.hardware.gpus import gpus
from qwenpick.hardware.machine import Machine
from qwenpick.hardware.system_reader import SystemReader

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from qwenpick.hardware.machine import Cpu, Gpu, Memory


_BOARDS = {
    # https://threedots.ovh/blog/2023/09/gathering-some-raspberry-pi-5-details/
    "Raspberry Pi 5": 17e9,
}
"""Boards whose memory is the same in all of them: its bandwidth in bytes per second."""


def probe(sources: SystemReader | None = None) -> Machine:
    """Look at this machine, or at what *sources* shows of another one.

    Nothing is written, nothing is sent. What can't be found out is None, and why is in
    the notes.
    """
    measured_rate = measurements.bandwidth() if sources is None else None
    sources = sources or SystemReader()
    memory = system.memory(sources)
    build = engine(sources)
    found, notes = gpus(sources, memory, build)
    processor = cpu(sources)
    memory = replace(
        memory, bandwidth_bytes_per_second=measured_rate or _bandwidth(found, processor)
    )
    return Machine(
        os=system.operating_system(sources),
        arch=sources.arch,
        cpu=processor,
        memory=memory,
        gpus=tuple(found),
        disk=system.disk(sources),
        engine=build,
        notes=(*_memory_notes(sources, memory), *notes),
    )


def from_file(path: Path) -> Machine:
    """Read the machine that `probe --json` wrote down, here or elsewhere.

    Raises:
        UsageError: It can't be read, or a part is missing or not of its type.
    """
    return files.document(
        path,
        Machine,
        what="the machine file",
        hint="Make one with: qwenpick probe --json > machine.json",
    )


def _bandwidth(found: Sequence[Gpu], processor: Cpu) -> float | None:
    """Give the bandwidth of the RAM, where a table has it: for memory shared with a GPU, boards."""
    for gpu in found:
        if gpu.unified and gpu.bandwidth_bytes_per_second is not None:
            return gpu.bandwidth_bytes_per_second
    name = processor.name or ""
    return next((rate for board, rate in _BOARDS.items() if name.startswith(board)), None)


def _memory_notes(sources: SystemReader, memory: Memory) -> list[str]:
    """Say what stands between the machine's memory and this process."""
    notes = []
    if system.is_wsl(sources):
        notes.append(
            "WSL2 gets half of the memory of Windows, unless memory= in .wslconfig says otherwise."
        )
    if memory.bandwidth_bytes_per_second is None:
        notes.append("Memory bandwidth unknown; `qwenpick bench` measures it.")
    return notes
