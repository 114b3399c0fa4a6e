"""What is here: `probe`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from qwenpick.cli.options import Json  # noqa: TC001 - typer reads it
from qwenpick.cli.output import emit

if TYPE_CHECKING:
    from qwenpick.hardware.machine import Machine


class ProbeResult(Struct, frozen=True):
    """The machine, as it is."""

    machine: Machine

    def to_json(self) -> dict[str, Any]:
        """Give the document of `probe --json`."""
        return self.machine.to_json()

    def render(self) -> None:
        """Show it to a person."""
        from qwenpick.cli.pages import machine_pages

        machine_pages.probe(self.machine)


def probe(as_json: Json = False) -> None:
    """Show this machine as it is: memory, cores, GPUs, disk, engine."""
    from qwenpick.hardware.probe import probe as look

    emit(ProbeResult(look()), as_json=as_json)
