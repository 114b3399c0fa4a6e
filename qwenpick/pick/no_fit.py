"""Where nothing fits, or nothing is fast enough: how near the nearest is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from qwenpick import units
from qwenpick.errors import NothingFitsError

if TYPE_CHECKING:
    from qwenpick.pick.choose import Candidates


def nothing(candidates: Candidates) -> NothingFitsError:
    """Make the refusal: the nearest that there is, and what to type for it."""
    question = candidates.question
    every = list(candidates.walk(lambda *_: True, last=True))
    budget = question.budget.said
    fitting = [one for one in every if one.settled.fits]
    if fitting and question.wish.min_speed is not None:
        known = [one for one in fitting if one.settled.speed.decode is not None]
        if not known:
            return NothingFitsError(
                "The speed of this machine is unknown, so --min-speed can't be promised.",
                hint="Measure it: qwenpick bench",
            )
        fastest = max(known, key=lambda one: one.settled.speed.decode or 0)
        rate = units.rate(fastest.settled.speed.decode or 0)
        return NothingFitsError(
            f"Nothing reaches {question.wish.min_speed:g} tokens/s here: the fastest, "
            f"{fastest.name}, makes about {rate}.",
            hint=f"Try --min-speed {math.floor(fastest.settled.speed.decode or 0)}, or see "
            "them all: qwenpick recommend --all",
        )
    least = min(every, key=lambda one: one.settled.memory.total)
    need = least.settled.memory.total
    return NothingFitsError(
        f"Nothing fits {budget}: the smallest, {least.name} with a context of "
        f"{units.context(least.settled.settings.context)}, takes {units.memory(need)}.",
        hint=f"See what would: qwenpick recommend --ram {-(-need // units.MIB)}M",
    )
