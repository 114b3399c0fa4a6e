"""What is here: `probe`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qwenpick.cli.options import Json  # noqa: TC001 - typer reads it
from qwenpick.cli.output import emit

if TYPE_CHECKING:
    from qwenpick.hardware.machine import Machine


@dataclass(frozen=True, slots=True)
class Probed:
    """The machine, as it is."""

    machine: Machine

    def to_json(self) -> dict[str, Any]:
        """Give the document of `probe --json`."""
        return self.machine.to_json()

    def page(self) -> None:
        """Show it to a person."""
        from qwenpick.cli import machine_pages  # noqa: PLC0415 - rich costs 40 ms

        machine_pages.probe(self.machine)


def probe(as_json: Json = False) -> None:
    """Show this machine as it is: memory, cores, GPUs, disk, engine."""
    from qwenpick.hardware.probe import probe as look  # noqa: PLC0415 - not needed for --help

    emit(Probed(look()), as_json=as_json)
