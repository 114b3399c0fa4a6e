"""The published guide, as rows, and the row for a request on a machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from qwenpick.units import GIB

if TYPE_CHECKING:
    from qwenpick.hardware.machine import Machine
    from qwenpick.pick.request import Request, Use


class GuideRow(Struct, frozen=True, kw_only=True):
    """One line of the guide: a requirement, the sizes that it recommends, and why."""

    requirement: str
    sizes: tuple[str, ...]
    reason: str
    use: Use | None = None
    """The use that this row is for; None for the rows that go by memory."""
    gigabytes: tuple[int, int | None] = (0, None)
    """From, and below, whole GB of memory; for the rows that go by memory."""


ROWS = (
    GuideRow(
        requirement="mobile deployment",
        sizes=("0.8b", "2b"),
        reason="extremely small, ultra-fast inference",
        use="mobile",
    ),
    GuideRow(
        requirement="IoT edge devices",
        sizes=("0.8b", "2b"),
        reason="low resource consumption",
        use="iot",
    ),
    GuideRow(
        requirement="lightweight agent",
        sizes=("4b",),
        reason="balanced performance and resources",
        use="agent",
    ),
    GuideRow(
        requirement="server, general purpose",
        sizes=("9b",),
        reason="best cost-effectiveness",
        use="server",
    ),
    GuideRow(
        requirement="memory < 4 GB",
        sizes=("0.8b", "2b"),
        reason="minimum resource requirements",
        gigabytes=(0, 4),
    ),
    GuideRow(
        requirement="memory 4 to 8 GB",
        sizes=("4b", "9b"),
        reason="medium resource requirements",
        gigabytes=(4, 8),
    ),
    GuideRow(
        requirement="memory 8 GB or more",
        sizes=("9b",),
        reason="ample memory: go straight for 9B",
        gigabytes=(8, None),
    ),
    GuideRow(
        requirement="maximum performance",
        sizes=("9b",),
        reason="close to a 120B",
        use="max-performance",
    ),
)


def row_for(machine: Machine, wish: Request) -> GuideRow:
    """Find the guide's row: by use, and for chat by memory."""
    if wish.use != "chat":
        return next(row for row in ROWS if row.use == wish.use)
    gigabytes = -(-_memory(machine) // GIB)
    return next(
        row
        for row in ROWS
        if row.use is None
        and row.gigabytes[0] <= gigabytes
        and (row.gigabytes[1] is None or gigabytes < row.gigabytes[1])
    )


def _memory(machine: Machine) -> int:
    """Give the memory that the guide means: the largest card's, else RAM or its limit."""
    cards = [gpu.total or 0 for gpu in machine.gpus if not gpu.unified]
    if any(cards):
        return max(cards)
    return min(machine.memory.total, machine.memory.limit or machine.memory.total)
