"""The memory sum: its laws for any shape, and the engine's own report on shapes in no catalogue."""

from __future__ import annotations

import itertools
from pathlib import Path

import cards
import ggml_compute
import loaded
import memory as benchmark
import pytest
import record
import shapes
import sight
from hypothesis import given
from hypothesis import strategies as some
from msgspec.structs import replace

from qwenpick.catalog import table
from qwenpick.catalog.model import Architecture, Model
from qwenpick.engine import dry_load
from qwenpick.pick import compute
from qwenpick.pick.memory import FileFacts, memory_sum, predicted_peak
from qwenpick.pick.profile import of_catalog
from qwenpick.pick.request import KV_TYPES, UBATCHES, Settings
from qwenpick.pull.gguf.model_file import read_model
from qwenpick.pull.gguf.repack import repacked_bytes

MIB = 1 << 20


@some.composite
def any_shape(draw: some.DrawFn) -> Architecture:
    interval, rounds = draw(some.integers(1, 4)), draw(some.integers(1, 8))
    kv_heads, keys = draw(some.sampled_from((1, 2, 4))), draw(some.sampled_from((1, 2, 16)))
    state = draw(some.sampled_from((32, 64, 128)))
    return Architecture(
        hidden=64 * draw(some.integers(1, 64)),
        layers=interval * rounds,
        full_attention_layers=rounds,
        heads=kv_heads * draw(some.sampled_from((1, 2, 4))),
        kv_heads=kv_heads,
        head_dim=draw(some.sampled_from((64, 128, 256))),
        ffn=64 * draw(some.integers(1, 200)),
        vocab=draw(some.integers(1000, 300_000)),
        context=262_144,
        linear_key_heads=keys,
        linear_value_heads=keys * draw(some.sampled_from((1, 2))),
        linear_key_dim=state,
        linear_value_dim=state,
        linear_conv_kernel=4,
    )


any_settings = some.builds(
    Settings,
    context=some.integers(1, 262_144),
    kv_type=some.sampled_from(KV_TYPES),
    ubatch=some.sampled_from((64, 128, 256, 512)),
    repack=some.booleans(),
)
any_file = some.builds(
    FileFacts, bytes=some.integers(10**8, 10**10), repack=some.integers(0, 10**9)
)


@given(any_shape(), any_file, any_settings, some.integers(0, 262_144))
def test_a_longer_context_never_needs_less(
    shape: Architecture, file: FileFacts, settings: Settings, more: int
) -> None:
    before = memory_sum(shape, file, settings)
    longer = memory_sum(shape, file, replace(settings, context=settings.context + more))
    assert longer.total >= before.total


@pytest.mark.parametrize("model", table.load().models, ids=lambda model: model.size)
def test_a_longer_context_of_a_real_size_never_needs_less(model: Model) -> None:
    contexts = [256 << step for step in range(11)]
    for kv_type, ubatch in itertools.product(KV_TYPES, UBATCHES):
        totals = [
            of_catalog(model, model.files[0], vision=False)
            .memory(Settings(context=context, kv_type=kv_type, ubatch=ubatch))
            .total
            for context in contexts
        ]
        assert totals == sorted(totals)


@given(any_shape(), any_file, any_settings)
def test_the_total_is_the_sum_of_its_parts_and_every_part_is_there(
    shape: Architecture, file: FileFacts, settings: Settings
) -> None:
    memory = memory_sum(shape, file, settings, vision=7, checkpoints=11)
    document = memory.to_json()
    total, host, devices = (document.pop(key) for key in ("total", "host", "devices"))
    assert total == sum(document.values())
    assert host + sum(one["bytes"] for one in devices) == total
    assert min(document.values()) >= 0


@given(any_shape(), any_file, any_settings, some.integers(0, 262_144))
def test_what_was_read_never_takes_more_than_the_full_context(
    shape: Architecture, file: FileFacts, settings: Settings, read: int
) -> None:
    memory = memory_sum(shape, file, settings)
    full = predicted_peak(memory, settings, read=settings.context)
    assert predicted_peak(memory, settings, read=read) <= full <= memory.total


@given(any_shape(), any_file, any_settings)
def test_every_concession_saves(shape: Architecture, file: FileFacts, settings: Settings) -> None:
    roomy = replace(settings, kv_type="f16", ubatch=512, repack=True)
    before = memory_sum(shape, file, roomy)
    assert memory_sum(shape, file, replace(roomy, repack=False)).total <= before.total
    smaller = memory_sum(shape, file, replace(roomy, ubatch=64))
    assert smaller.compute <= before.compute
    assert memory_sum(shape, file, replace(roomy, kv_type="q8_0")).kv_cache <= before.kv_cache


@pytest.mark.parametrize(
    ("size", "context", "kv_type", "ubatch", "kv_cache", "state", "compute"),
    [  # reported by llama.cpp (llama-cpp-python 0.3.36) on files of the real shapes, in MiB
        ("0.8b", 4096, "f16", 512, 48.0, 19.27, 46.16),
        ("0.8b", 32768, "q8_0", 128, 204.0, 19.27, 18.9),
        ("2b", 32768, "f16", 512, 384.0, 19.27, 80.2),
        ("4b", 131072, "q8_0", 512, 2176.0, 50.25, 197.3),
        ("9b", 32768, "q8_0", 128, 544.0, 50.25, 32.3),
        ("9b", 262144, "f16", 128, 8192.0, 50.25, 88.0),
    ],
)
def test_the_four_sizes_as_the_engine_reports_them(  # noqa: PLR0913, PLR0917 - a table's columns
    size: str, context: int, kv_type: str, ubatch: int, kv_cache: float, state: float,
    compute: float,
) -> None:  # fmt: skip
    model = table.load().model(size)
    assert model
    settings = Settings(context=context, kv_type=kv_type, ubatch=ubatch)  # type: ignore[arg-type]
    memory = memory_sum(model.architecture, FileFacts(bytes=10**9, compute=model.compute), settings)
    assert memory.kv_cache / MIB == pytest.approx(kv_cache, abs=0.01)
    assert memory.recurrent_state / MIB == pytest.approx(state, abs=0.01)
    assert memory.compute / MIB == pytest.approx(compute, abs=0.06)


ODD = (
    shapes.TINY,
    replace(shapes.TINY, hidden=1024, heads=2, ffn=2048, linear_key_heads=1, linear_value_heads=1),
    replace(shapes.TINY, heads=16, head_dim=128, linear_key_heads=8, linear_value_heads=16),
    replace(shapes.TINY, mtp_layers=1),
)


@pytest.mark.parametrize("shape", ODD)
def test_a_shape_in_no_catalogue_takes_what_the_engine_says_without_the_weights(
    tmp_path: Path, shape: Architecture
) -> None:
    path = shapes.write(tmp_path / "odd.gguf", shape)
    weights = sum(tensor.bytes for tensor in read_model(path).tensors)
    asked = FileFacts(bytes=0, weights=weights, compute=dry_load.compute_buffers(path))
    for settings in (
        Settings(context=2048, ubatch=512),
        Settings(context=8192, ubatch=64, kv_type="q8_0"),
    ):
        reported = loaded.load(path, settings, loaded.Talk(read=1)).buffers
        memory = memory_sum(shape, asked, settings)
        assert not memory.estimated
        for part, size in reported.items():
            # the engine reports in hundredths of a MiB, here twice
            assert getattr(memory, part) == pytest.approx(size, abs=0.021 * MIB), part


def test_the_repacked_copy_is_known_from_the_header(tmp_path: Path) -> None:
    shape = replace(shapes.TINY, hidden=256, ffn=512, linear_key_dim=64, linear_value_dim=64)
    path = shapes.write(tmp_path / "k.gguf", shape, "Q4_K")
    tensors = read_model(path).tensors
    matrices = sum(t.bytes for t in tensors if t.type == "Q4_K" and t.shape[1] % 8 == 0)
    assert repacked_bytes(tensors, ("avx2",)) == matrices
    assert repacked_bytes(tensors, ()) == 0


@pytest.mark.parametrize("model", table.load().models, ids=lambda model: model.size)
def test_without_an_engine_a_formula_is_at_most_5_mib_over_and_never_under(model: Model) -> None:
    assert model.compute
    guess = compute.formula(model.architecture)
    for kv_type, ubatch in itertools.product(KV_TYPES, UBATCHES):
        settings = Settings(context=8192, kv_type=kv_type, ubatch=ubatch)
        known, guessed = (compute.host_bytes(one, settings) for one in (model.compute, guess))
        assert 0 <= guessed - known < 5 * MIB
        on_card = [
            compute.card_bytes(one, model.architecture, settings) for one in (model.compute, guess)
        ]
        assert 0 <= on_card[1] - on_card[0] < 40 * MIB
    memory = memory_sum(model.architecture, FileFacts(bytes=10**9), Settings(context=8192))
    assert memory.estimated


@pytest.mark.parametrize("ubatch", [1, 32, 64, 100, 200, 384, 512, 1024])
def test_a_batch_size_between_those_of_the_table_is_on_the_line_between(ubatch: int) -> None:
    model = table.load().model("4b")
    assert model
    assert model.compute
    size = compute.host_bytes(model.compute, Settings(context=8192, ubatch=ubatch))
    laid_out = ggml_compute.graph_bytes(model.architecture, ubatch, rotated=False)
    mask = 2 * ubatch * 8192
    assert laid_out + mask - 1.6 * MIB <= size  # between 64 and 128 the line is bent
    if ubatch >= 64:
        assert size <= laid_out + mask + 0.02 * MIB


def test_the_page_shows_what_was_measured_and_the_law_is_right() -> None:
    docs = Path(__file__).parents[1] / "docs"
    rows = record.read_rows(docs / "measurements" / "memory.jsonl", benchmark.Row)
    page = (docs / "measurements" / "memory.md").read_text(encoding="utf-8")
    assert record.filled(page, "\n".join(benchmark.page(rows)), benchmark.MARKS) == page
    for row in rows:
        assert row.predicted() == pytest.approx(row.peak, rel=0.03)
        for part, size in row.buffers.items():
            assert getattr(row.sum(), part) == pytest.approx(size, rel=0.01, abs=MIB)


def test_a_card_holds_what_the_sum_says() -> None:
    docs = Path(__file__).parents[1] / "docs"
    rows = record.read_rows(docs / "measurements" / "cards.jsonl", cards.Row)
    page = (docs / "measurements" / "cards.md").read_text(encoding="utf-8")
    assert record.filled(page, "\n".join(cards.page(rows)), cards.MARKS) == page
    for row in rows:
        card, host = row.errors
        assert abs(card) < 0.03
        assert abs(host) < 0.03
        if row.whole:
            assert abs(row.compute_error) < 0.3  # MiB
            assert abs(card) < 0.01


def test_images_take_what_the_sum_says() -> None:
    docs = Path(__file__).parents[1] / "docs"
    rows = record.read_rows(docs / "measurements" / "sight.jsonl", sight.Row)
    page = (docs / "measurements" / "sight.md").read_text(encoding="utf-8")
    assert record.filled(page, "\n".join(sight.page(rows)), sight.MARKS) == page
    for row in rows:
        assert abs(sight.error(row)) < 0.03
        assert row.buffer == pytest.approx(row.reported, abs=0.02 * MIB)
