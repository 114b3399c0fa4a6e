"""The pick, as laws: what must hold on every machine and for every request."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from qwenpick.catalog.table import load
from qwenpick.cli.pages import recommend_words as words
from qwenpick.errors import NothingFitsError
from qwenpick.hardware.machine import Cpu, Disk, EngineBuild, Gpu, Machine, Measurement, Memory
from qwenpick.pick.budget import Budget, budget_of, exactly
from qwenpick.pick.choose import Candidate, Candidates, choose, value
from qwenpick.pick.fit import PickInput
from qwenpick.pick.recommendation import recommend
from qwenpick.pick.request import USES, Request

GIB, MIB = 1 << 30, 1 << 20
CATALOG = load()
SIZES = [model.size for model in CATALOG.models]

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
        Cpu,
        name=st.none(),
        physical_cores=st.just(4),
        usable_threads=st.integers(1, 64),
        features=st.sampled_from([(), ("avx2",), ("avx2", "avx512_vnni"), ("dotprod", "i8mm")]),
    ),
    memory=st.integers(300, 70_000).map(
        lambda size: Memory(total=size * MIB, available=size * MIB)
    ),
    gpus=cards,
    disk=st.just(Disk(path="/", free=None)),
    engine=st.just(EngineBuild(installed=False)),
)
requests = st.builds(
    Request,
    use=st.sampled_from(USES),
    users=st.sampled_from([1, 1, 4]),
    context=st.sampled_from([None, 4096, 32768, 131072]),
    vision=st.booleans(),
    min_speed=st.sampled_from([None, 5.0]),
    kv_type=st.sampled_from([None, "q4_0"]),
    size=st.sampled_from([None, "0.8b", "9b"]),
    gpu_layers=st.sampled_from([None, None, 0, 7, 99]),
)
sample = settings(
    max_examples=40,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


def ask(machine: Machine, request: Request) -> PickInput:
    return PickInput(catalog=CATALOG, machine=machine, wish=request, budget=budget_of(machine))


def pick(machine: Machine, request: Request) -> Candidate | None:
    return choose(Candidates(ask(machine, request)))


@sample
@given(machines, requests)
def test_a_pick_is_within_the_budget_and_says_why(machine: Machine, request: Request) -> None:
    question = ask(machine, request)
    if pick(machine, request) is None:
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
    assert words.reason(answer)
    assert answer.guide.departure is None or words.guide_note(answer)
    assert request.context in {None, answer.pick.settled.settings.context}
    layers = answer.pick.model.architecture.layers
    placed = answer.pick.settled.settings.gpu_layers
    assert 0 <= placed <= layers + 1
    assert request.gpu_layers is None or placed == min(request.gpu_layers, layers + 1)
    assert answer.pick.settled.settings.users == request.users
    if not placed:
        assert not any(used for _, used in memory.devices)


@sample
@given(machines, requests)
def test_the_same_question_has_the_same_answer(machine: Machine, request: Request) -> None:
    first, second = pick(machine, request), pick(machine, request)
    assert (first and first.name) == (second and second.name)


on_processors = machines.map(lambda machine: replace(machine, gpus=()))


def rank(question: PickInput, one: Candidate) -> tuple[bool, bool, float]:
    """Order picks as `choose` does: the guide's size in time, the patience kept, the value."""
    sized = any(one.model.size in sizes for sizes in question.use.sizes)
    in_time = Candidates(question).surely(one) <= Candidates(question).patience
    four_bits = "Q2" not in one.file.quant and "Q3" not in one.file.quant
    return (sized and in_time, four_bits, one.value)


@sample
@given(on_processors, st.sampled_from(USES), st.integers(3, 40), st.integers(1, 32))
def test_more_memory_never_makes_the_pick_worth_less(
    machine: Machine, use: str, size: int, more: int
) -> None:
    """With a context of 8k: of more memory a longer one would take its part."""
    request = Request(use=use, context=8192)  # type: ignore[arg-type]  # one of the uses
    ranks = []
    for there in (size, size + more):
        budget = exactly(Budget(host=0), there * GIB)
        question = replace(ask(machine, request), budget=budget)
        one = choose(Candidates(question))
        assert one is not None
        ranks.append(rank(question, one))
    assert ranks[1] >= ranks[0]


@sample
@given(on_processors, st.sampled_from(USES), st.floats(5e9, 400e9), st.floats(1, 4))
def test_more_bandwidth_never_makes_the_pick_worth_less(
    machine: Machine, use: str, rate: float, faster: float
) -> None:
    ranks = []
    for there in (rate, rate * faster):
        memory = replace(
            machine.memory, total=64 * GIB, available=60 * GIB, bandwidth_bytes_per_second=there
        )
        question = ask(replace(machine, memory=memory), Request(use=use))  # type: ignore[arg-type]  # one of the uses
        one = choose(Candidates(question))
        assert one is not None
        ranks.append(rank(question, one))
    assert ranks[1] >= ranks[0]


@sample
@given(machines, st.floats(1, 500), st.floats(1, 10))
def test_more_patience_never_makes_the_pick_worth_less(
    machine: Machine, patience: float, more: float
) -> None:
    first = pick(machine, Request(patience=patience))
    second = pick(machine, Request(patience=patience * more))
    assert (first is None) == (second is None)
    if first and second:
        assert second.value >= first.value
        assert second.quality.score >= first.quality.score - 0.01 - CATALOG.rules.tie


@sample
@given(machines, requests)
def test_what_would_change_the_pick_does(machine: Machine, request: Request) -> None:
    question = ask(machine, request)
    if pick(machine, request) is None:
        return
    for change in recommend(question).what_if:
        again = {
            "memory": replace(question, budget=exactly(question.budget, int(change.value))),
            "patience": replace(question, wish=replace(request, patience=change.value)),
            "min_speed": replace(question, wish=replace(request, min_speed=change.value)),
        }[change.what]
        won = choose(Candidates(again))
        assert won is not None
        assert (won.model.size, won.file.quant) == (change.size, change.quant)


@sample
@given(machines, requests)
def test_a_longer_context_never_needs_less(machine: Machine, request: Request) -> None:
    totals = []
    for context in (4096, 8192, 65536):
        asked = replace(request, context=context, kv_type="f16", ubatch=512)
        candidates = Candidates(ask(replace(machine, gpus=()), asked))
        totals.append(candidates.of(candidates.entries[0]).settled.memory.total)
    assert totals == sorted(totals)


@sample
@given(machines, st.sampled_from(["chat", "server"]))
def test_more_users_take_more_memory_and_get_less_speed(machine: Machine, use: str) -> None:
    machine = replace(machine, gpus=())
    sums = []
    for users in (1, 2, 8):
        request = Request(use=use, users=users, context=4096, kv_type="f16", ubatch=512)  # type: ignore[arg-type]  # one of the uses
        one = Candidates(ask(machine, request))
        settled = one.of(one.entries[0]).settled
        assert settled.memory.kv_cache == users * 6 * 2 * 2 * 256 * 4096 * 2
        sums.append((settled.memory.total, -settled.speed.decode, -settled.speed.prompt))
    assert sums == sorted(sums)


def test_an_answer_is_worth_half_once_patience_has_run_out() -> None:
    assert value(80.0, 0.0, 90.0) == 80.0
    assert value(80.0, 90.0, 90.0) == 40.0


def measurement(**changes: object) -> Measurement:
    row = Measurement(
        model_file="Qwen3.5-4B-Q4_K_M.gguf", size="4b", quant="Q4_K_M",
        weights_bytes=2_740_000_000, threads=4, repack=False, gpu_layers=0, prompt_rate=60.0,
        decode_rate=12.0, memory_bandwidth_bytes_per_second=None, engine_version="1",
        taken="2026-11-01",
    )  # fmt: skip
    return replace(row, **changes)


def test_a_measurement_counts_for_its_file_and_for_the_others() -> None:
    machine = Machine(
        os="Linux",
        arch="x86_64",
        cpu=Cpu(name=None, physical_cores=4, usable_threads=4, features=("avx2",)),
        memory=Memory(total=16 * GIB, available=15 * GIB),
        disk=Disk(path="/", free=None),
        engine=EngineBuild(installed=False),
    )
    question = replace(ask(machine, Request()), measured=(measurement(),))
    by_name = {one.name: one for one in Candidates(question).every()}
    speed = by_name["4B Q4_K_M"].settled.speed
    assert (speed.decode, speed.prompt, speed.basis) == (12.0, 60.0, "measured")
    other = by_name["9B Q4_K_M"].settled.speed
    assert other.basis == "bandwidth"
    assert other.prompt == pytest.approx(60.0 * 4205751296 / 8953803264)
    assert 5 < other.decode < 12
