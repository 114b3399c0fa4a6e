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
    from qwenpick.pick.no_fit import NoFit
    from qwenpick.pick.recommendation import Other, Recommendation
    from qwenpick.pick.what_if import WhatIf


def budget(found: Budget) -> str:
    """Say a budget: `22.1 GiB`, or `11.4 GiB of VRAM and 22.1 GiB of RAM`."""
    if not found.on_cards:
        return units.memory(found.host)
    return f"{units.memory(found.on_cards)} of VRAM and {units.memory(found.host)} of RAM"


def reason(answer: Recommendation) -> str:
    """Say why the pick is one."""
    within = budget(answer.budget)
    if answer.reason == "fastest":
        return f"The fastest model that fits in {within}"
    best = f"The best answers that fit in {within}"
    if answer.floor and answer.pick.settled.speed.decode is not None:
        best += f" at {answer.floor:g} tokens/s or more"
    if answer.reason == "best-of-size":
        return f"{answer.pick.model.size.upper()} is the size for {answer.wish.use}. {best}"
    return best


def against(answer: Recommendation, other: Other) -> str:
    """Say why a file is not the pick."""
    one = other.candidate
    use, size = answer.wish.use, answer.pick.model.size.upper()
    return {
        "too-big": f"needs {units.memory(one.settled.memory.total)}",
        "too-slow": too_slow(one, answer.floor),
        "speed-unknown": "its speed is unknown",
        "no-better": "no better, and larger",
        "worse": "fits, with worse answers",
        "other-size": f"fits; --for {use} prefers {size}",
    }[other.against]


def too_slow(one: Candidate, floor: float | None) -> str:
    """Say how slow a file is, with the floor that it misses."""
    decode = one.settled.speed.decode or 0.0
    said = units.rate(decode)
    if floor is None:
        return f"about {said} tokens/s"
    if said == units.rate(floor):  # rounding must not hide which is more
        said = f"{math.floor(decode * 100) / 100:g}"
    return f"about {said} tokens/s, below the minimum of {floor:g}"


def guide_note(answer: Recommendation) -> str:
    """Say why the guide's row is not followed; empty where it is."""
    guide, pick = answer.guide, answer.pick
    row = guide.row.sizes[-1].upper()
    near = guide.nearest
    if guide.departure == "asked":
        return f"{pick.model.size.upper()} was asked for"
    if guide.departure == "no-file":
        return f"the catalogue has no such file of {row}"
    if guide.departure is None or near is None:
        return ""
    return {
        "too-big": f"{row} needs at least {units.memory(near.settled.memory.total)}",
        "too-slow": f"{row} would run at {too_slow(near, answer.floor)}",
        "speed-unknown": f"the speed of {row} is unknown on this machine",
        "scores-less": f"{pick.model.size.upper()} fits and scores {pick.quality}, "
        f"{row} {near.quality}",
    }[guide.departure]


def degradations(pick: Candidate) -> Iterator[str]:
    """Say what the settings had to give up."""
    settings = pick.settled.settings
    layers = pick.model.architecture.layers + 1
    words = {
        "kv_type": f"KV cache in {settings.kv_type}",
        "ubatch": f"prompt batches of {settings.ubatch} tokens",
        "repack": "weights are not repacked",
        "context": f"context of {units.context(settings.context)}",
        "layers": f"{settings.gpu_layers} of {layers} layers on the GPU",
    }
    return (words[one] for one in pick.settled.degradations)


def remarks(answer: Recommendation) -> Iterator[str]:
    """Say what a person should know beside the pick."""
    found = answer.remarks
    if found.speed == "unknown":
        yield "Speed unknown; `qwenpick bench` measures it."
    elif found.speed == "reference":
        yield "Speed estimated from similar CPUs; `qwenpick bench` measures yours."
    if low := found.below_four_bits:
        worse = low.quality < answer.pick.quality
        why = (
            f"with worse answers than {answer.pick.name}"
            if worse
            else "which is picked only where nothing else fits"
        )
        yield f"{low.model.size.upper()} fits only below 4 bits (as {low.file.quant}), {why}."
    if found.rounded_bytes:
        yield "The size of this file is rounded; Hugging Face gives the exact one at the download."
    if answer.pick.settled.memory.estimated:
        yield "The memory for intermediate results is estimated: this catalogue does not have it."
    if found.engine_without_gpu:
        yield "The installed engine cannot use the GPU; for one that can: qwenpick engine install"


def what_if(answer: Recommendation, change: WhatIf) -> str:
    """Say what would change the pick, and to which file."""
    name = f"{change.size.upper()} {change.quant}"
    if change.what == "min_speed":
        return f"--min-speed {change.value:g} gives {name}"
    kind = "VRAM" if answer.budget.on_cards else "memory"
    return f"{units.memory(int(change.value))} of {kind} would give {name}"


def no_fit(facts: NoFit) -> NothingFitsError:
    """Say that there is no pick, and what to type next."""
    one = facts.nearest
    if facts.why == "speed-unknown":
        return NothingFitsError(
            "The speed of this machine is unknown, so --min-speed cannot be checked.",
            hint="Measure it: qwenpick bench",
        )
    if facts.why == "speed":
        decode = one.settled.speed.decode or 0.0
        return NothingFitsError(
            f"Nothing reaches {facts.min_speed:g} tokens/s on this machine: the fastest, "
            f"{one.name}, runs at about {units.rate(decode)}.",
            hint=f"Try --min-speed {math.floor(decode * 10) / 10:g}, or see all files: "
            "qwenpick recommend --all",
        )
    need = one.settled.memory.total
    return NothingFitsError(
        f"Nothing fits in {budget(facts.budget)}: the smallest, {one.name} with a "
        f"{units.context(one.settled.settings.context)} context, needs {units.memory(need)}.",
        hint=f"See what would fit: qwenpick recommend --ram {-(-need // units.MIB)}M",
    )
