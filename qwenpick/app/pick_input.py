"""What a pick is asked about: this machine, or the one that was described, and what it measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

if TYPE_CHECKING:
    from pathlib import Path

    from qwenpick.app.ui import Ui
    from qwenpick.catalog.model import Catalog
    from qwenpick.hardware.machine import Machine
    from qwenpick.pick.budget import Budget
    from qwenpick.pick.fit import PickInput
    from qwenpick.pick.request import Request


class MachineOverrides(Struct, frozen=True, kw_only=True):
    """Another machine than this one, or another part of it."""

    file: Path | None = None
    """As `probe --json` writes it, in place of this machine."""
    ram: int | None = None
    """Bytes that a model may use on the host, exactly; then there is no GPU."""
    vram: int | None = None
    """Bytes that a model may use on each card, exactly."""
    gpus: tuple[str, ...] = ()
    """Names of cards, each possibly with a count: `2x RTX 3090`."""


_HOLDS_A_MODEL = 2 << 30
"""Bytes on a GPU from which on the processor does not matter."""
THIS = MachineOverrides()
"""This machine, as probed."""


def ask_machine(
    request: Request, catalog: Catalog, overrides: MachineOverrides = THIS
) -> PickInput:
    """Gather what a pick is asked about.

    Raises:
        UsageError: The machine that was described cannot be understood.
    """
    from qwenpick.hardware import measurements
    from qwenpick.hardware.probe import from_file, probe
    from qwenpick.pick.budget import budget_of
    from qwenpick.pick.fit import PickInput

    ram, vram, gpus = overrides.ram, overrides.vram, overrides.gpus
    machine = from_file(overrides.file) if overrides.file else probe()
    if ram or vram or gpus:
        from qwenpick.hardware.override import override  # with the table of cards: 5 ms

        machine = override(machine, ram=ram, vram=vram, gpus=gpus)
    budget = budget_of(machine, exact_ram=ram is not None, exact_vram=vram is not None)
    measured = () if overrides.file or gpus else measurements.load()
    if not overrides.file and not measured and budget.on_cards + _pooled(budget) < _HOLDS_A_MODEL:
        machine = _with_bandwidth(machine, catalog)
    return PickInput(
        catalog=catalog, machine=machine, wish=request, budget=budget, measured=measured
    )


def _pooled(budget: Budget) -> int:
    """Give the memory of a GPU that shares the machine's."""
    return budget.devices[0].budget if budget.pooled else 0


def _with_bandwidth(machine: Machine, catalog: Catalog) -> Machine:
    """Measure the processor's bandwidth where nothing is known of it.

    What runs beside it halves the figure, so it moves what such processors usually do half way
    (the geometric mean): the pick must not depend on the hour.
    """
    if machine.memory.bandwidth_bytes_per_second:
        return machine
    from qwenpick.hardware import bandwidth
    from qwenpick.pick.speed import usual_bandwidth

    memory = machine.memory
    rate = bandwidth.measured(threads=machine.cpu.usable_threads, available=memory.available)
    if rate is None:
        return machine
    usual, _ = usual_bandwidth(machine, catalog)
    rate = (rate * usual) ** 0.5
    return replace(machine, memory=replace(memory, bandwidth_bytes_per_second=rate))


def usable_by_engine(question: PickInput, ui: Ui) -> PickInput:
    """Leave out the GPUs that the installed engine cannot use, and say so."""
    from qwenpick.pick.budget import budget_of

    machine = question.machine
    usable = tuple(gpu for gpu in machine.gpus if machine.engine.drives(gpu))
    if usable == machine.gpus:
        return question
    if machine.engine.installed:
        unused = ", ".join(gpu.name for gpu in machine.gpus if gpu not in usable)
        ui.status(
            f"The installed engine cannot use {unused}. Get one that can: qwenpick engine install"
        )
    machine = replace(machine, gpus=usable)
    return replace(question, machine=machine, budget=budget_of(machine))
