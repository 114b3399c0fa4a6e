"""The picks that practitioners would make, and the mistakes that they would laugh at."""

from __future__ import annotations

import json
import random
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from qwenpick.catalog.table import load
from qwenpick.hardware.probe import from_file
from qwenpick.pick.budget import budget_of
from qwenpick.pick.choose import Candidate, Candidates, choose
from qwenpick.pick.fit import PickInput
from qwenpick.pick.profile import bits
from qwenpick.pick.request import Request

if TYPE_CHECKING:
    from qwenpick.hardware.machine import Gpu, Machine

MACHINES = {file.stem: from_file(file) for file in sorted(Path("tests/machines").glob("*.json"))}
ROWS = json.loads(Path(__file__).with_name("panel.json").read_text(encoding="utf-8"))["rows"]
USES = ("chat", "agent", "server", "server 4", "server 16", "mobile", "iot", "max-performance")
SLOWEST = {"max-performance": 2.5}
"""Tokens per second below which a smaller size is better; 4 for other uses."""
CATALOG = load()


def ask(machine: Machine, use: str) -> PickInput:
    name, _, users = use.partition(" ")
    wish = Request(use=name, users=int(users or 1))  # type: ignore[arg-type]  # one of the uses
    return PickInput(catalog=CATALOG, machine=machine, wish=wish, budget=budget_of(machine))


def pick(machine: Machine, use: str) -> Candidate:
    found = choose(Candidates(ask(machine, use)))
    assert found is not None
    return found


@cache
def pick_of(name: str, use: str) -> Candidate:
    return pick(MACHINES[name], use)


def accepted(one: Candidate, said: str) -> bool:
    """Say whether a pick is what `9b 4-6 thinks 16k whole` says."""
    size, width, *more = said.split()
    low, high = map(int, width.split("-"))
    settings = one.settled.settings
    return (
        one.model.size == size
        and low <= bits(one.file.quant) <= high
        and ("thinks" not in more or settings.thinking)
        and ("direct" not in more or not settings.thinking)
        and ("whole" not in more or settings.gpu_layers == settings.layers)
        and all(settings.context >= int(word[:-1]) << 10 for word in more if word.endswith("k"))
    )


@pytest.mark.parametrize(
    ("name", "use", "row"),
    [
        (name, use, row)
        for row in ROWS
        for name in row["machines"]
        for use in row
        if " " in use or use in USES
    ],
)
def test_the_pick_is_one_that_the_panel_accepts(name: str, use: str, row: dict[str, Any]) -> None:
    one = pick_of(name, use)
    assert any(accepted(one, said) for said in row[use]), (one.name, one.settled.settings)
    budget = budget_of(MACHINES[name])
    memory = one.settled.memory
    used = [(memory.total, budget.host)] if budget.pooled or not budget.devices else []
    used += [
        (size, one.budget) for (_, size), one in zip(memory.devices, budget.devices, strict=False)
    ]
    for size, there in used:
        assert size <= there * row["most"], one.name


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("name", MACHINES)
def test_no_pick_breaks_a_rule(name: str, use: str) -> None:
    one, machine = pick_of(name, use), MACHINES[name]
    settings, speed = one.settled.settings, one.settled.speed
    candidates = Candidates(ask(machine, use))
    every = [other for other in candidates.every() if other.settled.fits]
    smaller = [
        other
        for other in every
        if other.file.bytes < one.file.bytes and other.model is not one.model
    ]
    if candidates.question.budget.devices and settings.gpu_layers < settings.layers:
        sizes = [model.size for model in CATALOG.models]
        assert not [
            other
            for other in every
            if sizes.index(other.model.size) >= sizes.index(one.model.size)
            and bits(other.file.quant) >= 4
            and other.settled.settings.gpu_layers == settings.layers
        ]
    assert bits(one.file.quant) < 16 or speed.decode >= 20
    assert not settings.thinking or use == "max-performance" or speed.decode >= 10
    if candidates.question.budget.pooled:
        assert one.settled.memory.total <= 0.95 * candidates.question.budget.host
    if settings.users == 1 and speed.decode < SLOWEST.get(use, 4):
        assert not [other for other in smaller if other.settled.speed.decode > speed.decode]
    if use == "agent" and settings.context < 16384:
        assert not [other for other in smaller if other.settled.settings.context >= 16384]


def shaken(machine: Machine, draw: random.Random, *, memory: float, rates: float) -> Machine:
    """Give a machine whose free memory and bandwidths are a little off."""
    there = machine.memory
    free, rate = (draw.uniform(1 - by, 1 + by) for by in (memory, rates))
    most = min(there.total, there.limit or there.total)

    def of_gpu(gpu: Gpu) -> Gpu:
        own_free = free if gpu.unified else draw.uniform(1 - memory, 1 + memory)
        own_rate = rate if gpu.unified else draw.uniform(1 - rates, 1 + rates)
        known = gpu.bandwidth_bytes_per_second
        size = int((gpu.free or gpu.total or 0) * own_free)
        return replace(
            gpu,
            free=min(size, gpu.total or size) if gpu.free else None,
            bandwidth_bytes_per_second=known * own_rate if known else None,
        )

    known = there.bandwidth_bytes_per_second
    return replace(
        machine,
        memory=replace(
            there,
            available=min(int(there.available * free), most),
            bandwidth_bytes_per_second=known * rate if known else None,
        ),
        gpus=tuple(map(of_gpu, machine.gpus)),
    )


def moved(use: str, *, draws: int, memory: float, rates: float) -> dict[str, int]:
    """Count the draws in which each machine's pick is another file."""
    found = {}
    for name, machine in MACHINES.items():
        draw = random.Random(name)  # noqa: S311 - a seed, not a secret
        there = pick_of(name, use).name
        picks = [
            pick(shaken(machine, draw, memory=memory, rates=rates), use).name for _ in range(draws)
        ]
        found[name] = sum(one != there for one in picks)
    return {name: count for name, count in found.items() if count}


def test_noise_hardly_moves_the_pick() -> None:
    """Free memory and rates 5 % off: at most 2 of 100 draws have another file."""
    changed = moved("chat", draws=100, memory=0.05, rates=0.05)
    assert not [name for name, count in changed.items() if count > 2], changed


def test_noise_hardly_moves_the_picks_of_other_uses() -> None:
    uses = ("agent", "server", "server 4", "max-performance")
    changed = {use: moved(use, draws=20, memory=0.05, rates=0.05) for use in uses}
    draws = 20 * len(MACHINES) * len(uses)
    assert sum(sum(of_use.values()) for of_use in changed.values()) <= 0.02 * draws, changed


@pytest.mark.parametrize("by", [0.9, 1.1])
@pytest.mark.parametrize("name", [name for name in MACHINES if "jetson" not in name])
def test_free_memory_that_moves_by_a_tenth_does_not_change_the_file(name: str, by: float) -> None:
    machine = MACHINES[name]
    memory = machine.memory
    most = min(memory.total, memory.limit or memory.total)
    gpus = tuple(
        replace(gpu, free=min(int(gpu.free * by), gpu.total or 0)) if gpu.free else gpu
        for gpu in machine.gpus
    )
    other = replace(
        machine, memory=replace(memory, available=min(int(memory.available * by), most)), gpus=gpus
    )
    assert pick(other, "chat").name == pick_of(name, "chat").name
