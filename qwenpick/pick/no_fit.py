"""Where nothing fits, or nothing is fast enough: how near the nearest is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from qwenpick.errors import NothingFitsError

if TYPE_CHECKING:
    from qwenpick.pick.budget import Budget
    from qwenpick.pick.choose import Candidate, Candidates


class NoFit(Struct, frozen=True, kw_only=True):
    """Why there is no pick, and the file that comes nearest."""

    why: Literal["memory", "speed"]
    nearest: Candidate
    """The smallest file, or the fastest of those that fit."""
    budget: Budget
    min_speed: float | None
    """The floor that was asked for, in tokens per second."""


class NoFitError(NothingFitsError):
    """There is no pick; `facts` say why, and the command line finds the words."""

    def __init__(self, facts: NoFit) -> None:
        super().__init__(f"No file meets what was asked ({facts.why}).")
        self.facts = facts


def no_fit(candidates: Candidates) -> NoFit:
    """Find what comes nearest."""
    question = candidates.question
    every = list(candidates.every())
    fitting = [one for one in every if one.settled.fits]
    slow = bool(fitting) and question.wish.min_speed is not None
    return NoFit(
        why="speed" if slow else "memory",
        nearest=max(fitting, key=lambda one: one.settled.speed.decode)
        if slow
        else min(every, key=lambda one: one.settled.memory.total),
        budget=question.budget,
        min_speed=question.wish.min_speed,
    )
