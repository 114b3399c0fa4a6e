"""The pick, as laws: what must hold on every machine and for every wish."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from qwenpick.catalog.table import load
from qwenpick.cli.pages import recommend_words as words
from qwenpick.errors import NothingFitsError
from qwenpick.hardware.machine import Cpu, Disk, EngineBuild, Gpu, Machine, Memory
from qwenpick.pick.budget import budget_of
from qwenpick.pick.choose import Candidate, Candidates, choose
from qwenpick.pick.fit import PickInput
from qwenpick.pick.recommendation import recommend
from qwenpick.pick.request import USES, Request

GIB, MIB = 1 << 30, 1 << 20
CATALOG = load()

cards = st.lists(
    st.builds(
        Gpu,
        vendor=st.just("nvidia"),
        name=st.just("a card"),
        total=st.just(48 * GIB),
        free=st.integers(1, 48).map(lambda size: size * GIB),
        bandwidth_bytes_per_second=st.sampled_from([None, 200e9, 900e9]),
    ),
    max_size=3,
).map(tuple)
machines = st.builds(
    Machine,
    os=st.just("Linux"),
    arch=st.sampled_from(["x86_64", "aarch64"]),
    cpu=st.builds(
        Cpu, name=st.none(), physical_cores=st.just(4), usable_threads=st.integers(1, 64)
    ),
    memory=st.integers(300, 70_000).map(
        lambda size: Memory(total=size * MIB, available=size * MIB)
    ),
    gpus=cards,
    disk=st.just(Disk(path="/", free=None)),
    engine=st.just(EngineBuild(installed=False)),
)
wishes = st.builds(
    Request,
    use=st.sampled_from(USES),
    context=st.sampled_from([None, 4096, 32768, 131072]),
    vision=st.booleans(),
    min_speed=st.sampled_from([None, 5.0]),
    kv_type=st.sampled_from([None, "q4_0"]),
    size=st.sampled_from([None, "0.8b", "9b"]),
    gpu_layers=st.sampled_from([None, None, 0, 7, 99]),
)
sample = settings(max_examples=40, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


def ask(machine: Machine, wish: Request) -> PickInput:
    return PickInput(catalog=CATALOG, machine=machine, wish=wish, budget=budget_of(machine))


def pick(machine: Machine, wish: Request) -> Candidate | None:
    return choose(Candidates(ask(machine, wish)))


@sample
@given(machines, wishes)
def test_a_pick_is_within_the_budget_and_says_why(machine: Machine, wish: Request) -> None:
    question = ask(machine, wish)
    if pick(machine, wish) is None:
        with pytest.raises(NothingFitsError, match=r"\w"):
            recommend(question)
        return
    answer = recommend(question)
    memory, budget = answer.pick.settled.memory, question.budget
    assert memory.host <= budget.host
    for (_, used), device in zip(memory.devices, budget.devices, strict=False):
        assert used <= device.budget
    assert memory.total == memory.host + sum(used for _, used in memory.devices)
    assert min(used for _, used in [*memory.devices, ("", memory.host)]) >= 0
    assert answer.guide.departure is None or words.guide_note(answer)
    assert words.reason(answer)
    assert wish.context in {None, answer.pick.settled.settings.context}
    layers = answer.pick.model.architecture.layers
    placed = answer.pick.settled.settings.gpu_layers
    assert 0 <= placed <= layers + 1
    assert wish.gpu_layers is None or placed == min(wish.gpu_layers, layers + 1)
    if not placed:
        assert not any(used for _, used in memory.devices)


@sample
@given(machines, wishes)
def test_the_same_question_has_the_same_answer(machine: Machine, wish: Request) -> None:
    first, second = pick(machine, wish), pick(machine, wish)
    assert (first and first.name) == (second and second.name)


@sample
@given(machines, wishes, st.integers(1, 32))
def test_more_memory_never_gives_worse_answers(machine: Machine, wish: Request, more: int) -> None:
    machine = replace(machine, gpus=())
    larger = replace(
        machine.memory, available=machine.memory.available + more * GIB, total=200 * GIB
    )
    first, second = pick(machine, wish), pick(replace(machine, memory=larger), wish)
    if first is not None:
        assert second is not None
        if wish.use in {"chat", "server", "max-performance"} and first.good:
            assert second.quality >= first.quality


@sample
@given(machines, wishes)
def test_a_longer_context_never_needs_less(machine: Machine, wish: Request) -> None:
    totals = []
    for context in (4096, 8192, 65536):
        asked = replace(wish, context=context, kv_type="f16", ubatch=512)
        candidates = Candidates(ask(replace(machine, gpus=()), asked))
        model, file, score = candidates.files[0]
        totals.append(candidates.of(model, file, score).settled.memory.total)
    assert totals == sorted(totals)
