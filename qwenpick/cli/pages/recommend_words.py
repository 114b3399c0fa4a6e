"""The words for what `recommend` found: sentences, and the commands that they name."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from qwenpick import units
from qwenpick.errors import NothingFitsError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qwenpick.pick.budget import Budget
    from qwenpick.pick.choose import Candidate
    from qwenpick.pick.fit import Degradation
    from qwenpick.pick.guide import GuideRow
    from qwenpick.pick.no_fit import NoFit
    from qwenpick.pick.recommendation import Other, Recommendation
    from qwenpick.pick.what_if import WhatIf

MINUTE, HOUR = 60, 3600
_WHOLE_RATE = 3
_WHOLE_BELOW, _FIVES_BELOW = 20, 100
"""Seconds: whole ones up to here, then fives, then minutes."""


def duration(seconds: float) -> str:
    """Say how long something takes, without digits that an estimate can't stand for."""
    if seconds < 1:
        return "under 1 s"
    if seconds < _WHOLE_BELOW:
        return f"{seconds:.0f} s"
    if seconds < _FIVES_BELOW:
        return f"{round(seconds / 5) * 5} s"
    if seconds < HOUR:
        return f"{seconds / MINUTE:.0f} min"
    return f"{seconds / HOUR:.1f} h"


def about(seconds: float) -> str:
    """Say it in a sentence: `about 45 s`."""
    said = duration(seconds)
    return said if said.startswith("under") else f"about {said}"


def rate(one: Candidate) -> str:
    """Say how fast a file writes; an estimate without digits that it can't stand for."""
    speed = one.settled.speed
    if speed.basis == "measured" or speed.decode < _WHOLE_RATE:
        return units.rate(speed.decode)
    return f"{speed.decode:.0f}"


def budget(found: Budget) -> str:
    """Say a budget: `22.1 GiB`, or `11.4 GiB of VRAM and 22.1 GiB of RAM`."""
    if not found.on_cards:
        return units.memory(found.host)
    return f"{units.memory(found.on_cards)} of VRAM and {units.memory(found.host)} of RAM"


def device(answer: Recommendation) -> str:
    """Name what the pick runs on: `this CPU`, `the GPU`, `GPU and CPU`."""
    settings = answer.pick.settled.settings
    if not settings.gpu_layers:
        return "this CPU"
    return "the GPU" if settings.gpu_layers >= settings.layers else "GPU and CPU"


def reason(answer: Recommendation) -> str:
    """Say why the pick is one, in one sentence without its full stop."""
    pick, use = answer.pick, answer.wish.use
    wait = about(pick.seconds)
    size = pick.model.size.upper()
    return {
        "asked": f"{pick.name} was asked for; an answer takes {wait}",
        "guide": f"Qwen's guide names {size} for {use}, and it answers in {wait} on "
        f"{device(answer)}",
        "worth": f"The best answers for the wait: {wait} each on {device(answer)}",
        "late": f"Nothing answers within {duration(answer.patience)} on {device(answer)}; "
        f"this comes nearest to it for its quality, in {wait}",
    }[answer.reason]


def against(answer: Recommendation, other: Other) -> str:
    """Say why a file is not the pick."""
    one, pick = other.candidate, answer.pick
    score, picked = one.quality.score, pick.quality.score
    return {
        "too-big": f"needs {units.memory(one.settled.memory.total)}",
        "min-speed": _below(one, answer.wish.min_speed or 0.0),
        "too-slow": f"an answer takes {about(one.seconds)}, more than {duration(answer.patience)}",
        "gives-up": f"fits, but {_given_up(one)}",
        "other-size": f"fits; Qwen's guide names {pick.model.size.upper()} for {answer.wish.use}",
        "worse": f"scores {score:.1f}, the pick {picked:.1f}",
        "slower": f"scores {score:.1f} to {picked:.1f}, and an answer takes {about(one.seconds)}",
        "by-name": "picked only by name (--quant)",
    }[other.against]


def guide_note(answer: Recommendation) -> str:
    """Say why the guide's row is not followed; empty where it is."""
    guide, pick = answer.guide, answer.pick
    row, near = guide.row.sizes[-1].upper(), guide.nearest
    if guide.departure == "asked":
        return f"{pick.model.size.upper()} was asked for"
    if guide.departure == "no-file":
        return f"the catalogue has no such file of {row}"
    if guide.departure is None or near is None:
        return ""
    return {
        "too-big": f"{row} needs at least {units.memory(near.settled.memory.total)} here",
        "too-slow": f"on {_where(near)} an answer of {row} takes {about(near.seconds)}",
        "worth-less": f"{pick.model.size.upper()} answers in {about(pick.seconds)} here, "
        f"{row} in {about(near.seconds)}",
    }[guide.departure]


def guide_row(row: GuideRow) -> str:
    """Say what a row of the guide says: `9B from 8 GB of memory on`."""
    sizes = " or ".join(row.sizes).upper()
    if row.use:
        return f"{sizes} for {row.requirement}"
    low, high = row.gigabytes
    if high is None:
        return f"{sizes} from {low} GB of memory on"
    return f"{sizes} for {low} to {high} GB of memory" if low else f"{sizes} below {high} GB"


def degradations(pick: Candidate) -> Iterator[str]:
    """Say what the settings had to give up."""
    return (_degradation(pick, one) for one in pick.settled.degradations)


def remarks(answer: Recommendation) -> Iterator[str]:
    """Say what a person should know beside the pick."""
    found = answer.remarks
    if found.unsure_speed == "reference":
        yield "Speed estimated from similar CPUs; `qwenpick bench` measures yours."
    elif found.unsure_speed == "guess":
        yield "The speed is a careful guess for a device of its kind; `qwenpick bench` measures it."
    if found.estimated_memory:
        yield "The memory for intermediate results is estimated: this catalogue does not have it."
    if found.rounded_bytes:
        yield "The size of this file is rounded; Hugging Face gives the exact one at the download."
    if found.engine_without_gpu:
        yield "The installed engine cannot use the GPU; for one that can: qwenpick engine install"


def what_if(answer: Recommendation, change: WhatIf) -> str:
    """Say what would change the pick, and to which file."""
    name = f"{change.size.upper()} {change.quant}"
    if change.what == "min_speed":
        return f"--min-speed {change.value:g} gives {name}"
    if change.what == "patience":
        return f"--patience {change.value:g} gives {name}"
    kind = "VRAM" if answer.budget.on_cards else "memory"
    return f"with {units.memory(int(change.value))} of {kind} it would be {name}"


def no_fit(facts: NoFit) -> NothingFitsError:
    """Say that there is no pick, and what to type next."""
    one = facts.nearest
    if facts.why == "speed":
        decode = one.settled.speed.decode
        return NothingFitsError(
            f"Nothing reaches {facts.min_speed:g} tokens/s: the fastest here, {one.name}, "
            f"runs at about {units.rate(decode)}.",
            hint=f"Try --min-speed {math.floor(decode * 10) / 10:g}, or see all files: "
            "qwenpick recommend --all",
        )
    need, settings = one.settled.memory.total, one.settled.settings
    each = f" for each of {settings.users} users" if settings.users > 1 else ""
    return NothingFitsError(
        f"Nothing fits in {budget(facts.budget)}: the smallest, {one.name} with a "
        f"{units.context(settings.context)} context{each}, needs {units.memory(need)}.",
        hint=f"See what would fit: qwenpick recommend --ram {-(-need // units.MIB)}M",
    )


def _where(one: Candidate) -> str:
    return "this GPU" if one.settled.settings.gpu_layers else "this CPU"


def _below(one: Candidate, floor: float) -> str:
    """Say how slow a file is, with the floor that it misses."""
    decode = one.settled.speed.decode
    said = units.rate(decode)
    if said == units.rate(floor):  # rounding must not hide which is more
        said = f"{math.floor(decode * 100) / 100:g}"
    return f"about {said} tokens/s, below the minimum of {floor:g}"


def _given_up(one: Candidate) -> str:
    found = list(one.settled.degradations)
    if "layers" in found:
        return f"with {_degradation(one, 'layers')}"
    if "free" in found or not found:
        return "leaves too little memory free to stay the pick"
    return f"with {_degradation(one, found[0])}"


def _degradation(one: Candidate, what: Degradation) -> str:
    settings = one.settled.settings
    return {
        "kv_type": f"KV cache in {settings.kv_type}",
        "ubatch": f"prompt batches of {settings.ubatch} tokens",
        "checkpoints": "one point for each user to go back to",
        "repack": "weights not repacked",
        "context": f"context of {units.context(settings.context)}",
        "layers": f"{settings.gpu_layers} of {settings.layers} layers on the GPU",
        "free": "less than a tenth of the memory left free",
    }[what]
