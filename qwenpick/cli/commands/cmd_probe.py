"""This machine: `probe`."""

from __future__ import annotations

from typing import Literal, Self

from msgspec.structs import asdict

from qwenpick.cli.options import Json  # noqa: TC001 - typer reads it
from qwenpick.cli.output import emit
from qwenpick.hardware.machine import Machine


class ProbeDocument(Machine, frozen=True, kw_only=True):
    """What `probe --json` prints: a machine, which `--machine FILE` reads."""

    schema: Literal[1] = 1

    def document(self) -> Self:
        """Give itself."""
        return self

    def render(self) -> None:
        """Show it to a person."""
        from qwenpick.cli.pages import machine_pages

        machine_pages.probe(self)


def probe(as_json: Json = False) -> None:
    """Show this machine's memory, CPU and GPUs."""
    from qwenpick.hardware.probe import probe as look

    emit(ProbeDocument(**asdict(look())), as_json=as_json)
