"""Qwen's published selection guide: `guide`."""

from __future__ import annotations

from qwenpick.cli.documents import Document, Part
from qwenpick.cli.options import Json  # noqa: TC001 - typer reads it
from qwenpick.cli.output import emit


class GuideLine(Part, frozen=True, kw_only=True):
    """A row of the guide."""

    requirement: str
    sizes: tuple[str, ...]
    reason: str
    here: bool
    """Whether this machine falls into it."""


class GuideDocument(Document, frozen=True, kw_only=True):
    """What `guide --json` prints."""

    rows: list[GuideLine]

    def render(self) -> None:
        """Show the table, this machine's row marked."""
        from qwenpick.cli import render

        out = render.console()
        rows = [
            (">" if row.here else "", row.requirement, " / ".join(row.sizes).upper(), row.reason)
            for row in self.rows
        ]
        render.columns(out, ("", "requirement", "recommended", "reason"), rows)
        out.print("\nWhat fits this machine: qwenpick recommend")


def guide(as_json: Json = False) -> None:
    """Show Qwen's guide, with this machine's row."""
    from qwenpick.hardware.probe import probe
    from qwenpick.pick.guide import ROWS, row_for
    from qwenpick.pick.request import Request

    here = row_for(probe(), Request())
    rows = [
        GuideLine(requirement=row.requirement, sizes=row.sizes, reason=row.reason, here=row is here)
        for row in ROWS
    ]
    emit(GuideDocument(rows=rows), as_json=as_json)
