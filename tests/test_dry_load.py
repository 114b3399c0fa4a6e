"""Asking the engine without the weights: in a child, once for a file, and with its own reasons."""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING

import pytest
import shapes
from msgspec.structs import replace

from qwenpick.app.compute_store import compute_table
from qwenpick.catalog import table
from qwenpick.engine import dry_load
from qwenpick.errors import RunError
from qwenpick.hardware.machine import EngineBuild
from qwenpick.pick.compute import formula
from qwenpick.pick.request import KV_TYPES, UBATCHES
from qwenpick.pull.gguf.model_file import read_model

if TYPE_CHECKING:
    from pathlib import Path

ENGINE = EngineBuild(installed=True, version="0.3.36")


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("QWENPICK_HOME", str(tmp_path / "home"))
    return shapes.write(tmp_path / "tiny.gguf", shapes.TINY)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Note each file that a child is started for."""
    paths: list[Path] = []
    ask = dry_load.compute_buffers

    def count(path: Path) -> object:
        paths.append(path)
        return ask(path)

    monkeypatch.setattr(dry_load, "compute_buffers", count)
    return paths


def patched(path: Path, key: str, value: int) -> Path:
    """Write another number into a header."""
    data = bytearray(path.read_bytes())
    at = data.index(struct.pack("<Q", len(key)) + key.encode()) + 8 + len(key) + 4
    data[at : at + 4] = struct.pack("<I", value)
    path.write_bytes(data)
    return path


def test_every_kind_of_the_ladder_has_a_constant_and_a_slope(model: Path) -> None:
    host = dry_load.compute_buffers(model).host
    assert set(host) == set(KV_TYPES)
    for kv_type, rows in host.items():
        assert set(rows) == set(UBATCHES)
        for ubatch, row in rows.items():
            assert row.per_token == 2 * ubatch, kv_type  # the mask, in half floats
            assert row.constant > 0


@pytest.mark.parametrize(
    "size", ["0.8b", *(pytest.param(size, marks=pytest.mark.proof) for size in ("2b", "4b", "9b"))]
)
def test_the_table_has_what_the_engine_says_of_a_header_alone(size: str, tmp_path: Path) -> None:
    path = shapes.write_header(tmp_path / "header.gguf", size)
    known = table.load().model(size)
    assert known
    assert known.compute
    assert known.compute.host == dry_load.compute_buffers(path).host


def test_the_second_start_asks_nobody(model: Path, asked: list[Path]) -> None:
    first = compute_table(model, shapes.TINY, None, ENGINE)
    assert asked == [model]
    assert compute_table(model, shapes.TINY, None, ENGINE) == first
    assert asked == [model]
    assert first
    assert not first.formula


def test_another_file_or_engine_is_asked_again(model: Path, asked: list[Path]) -> None:
    compute_table(model, shapes.TINY, None, ENGINE)
    compute_table(model, shapes.TINY, None, replace(ENGINE, version="0.3.37"))
    os.utime(model, ns=(1, 1))
    compute_table(model, shapes.TINY, None, ENGINE)
    assert len(asked) == 3


def test_a_home_that_can_t_be_written_to_only_costs_the_time(
    model: Path, asked: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("QWENPICK_HOME", str(tmp_path / "file" / "home"))
    assert compute_table(model, shapes.TINY, None, ENGINE)
    assert compute_table(model, shapes.TINY, None, ENGINE)
    assert len(asked) == 2


def test_a_broken_store_counts_as_empty(model: Path, asked: list[Path], tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "compute.json").write_text("[" * 100_000)
    assert compute_table(model, shapes.TINY, None, ENGINE)
    assert compute_table(model, shapes.TINY, None, ENGINE)
    assert len(asked) == 1


def test_the_catalogue_s_shapes_and_a_machine_without_an_engine_ask_nobody(
    model: Path, asked: list[Path]
) -> None:
    known = table.load().models[0]
    assert compute_table(model, known.architecture, known, ENGINE) == known.compute
    assert compute_table(model, shapes.TINY, None, EngineBuild(installed=False)) is None
    assert not asked


def test_a_shape_that_only_claims_to_be_the_catalogue_s_is_asked(
    model: Path, asked: list[Path]
) -> None:
    known = table.load().models[0]
    assert compute_table(model, shapes.TINY, known, ENGINE) != known.compute
    assert asked


def test_an_unknown_family_is_refused_in_llama_cpp_s_words(model: Path) -> None:
    data = model.read_bytes()
    name = struct.pack("<Q", 6) + b"qwen35"
    model.write_bytes(data.replace(name, name[:-2] + b"99").replace(b"qwen35.", b"qwen99."))
    with pytest.raises(RunError, match="unknown model architecture: 'qwen99'"):
        dry_load.compute_buffers(model)


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("qwen35.ssm.inner_size", 1, "it ends the process .GGML_ASSERT"),
        ("qwen35.full_attention_interval", 0, "it ends the process"),
        ("qwen35.block_count", 3, "wrong number of tensors"),
        ("qwen35.ssm.inner_size", 2**31, "."),
    ],
)
def test_what_kills_the_engine_kills_a_child(
    model: Path, key: str, value: int, reason: str
) -> None:
    with pytest.raises(RunError, match=reason):
        dry_load.compute_buffers(patched(model, key, value))


def test_a_child_that_does_not_finish_is_ended(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dry_load, "SECONDS", 0.01)
    with pytest.raises(RunError, match=r"within 0\.01 seconds"):
        dry_load.compute_buffers(model)


def test_the_formula_is_near_what_the_engine_says_of_another_family() -> None:
    import engines

    path = engines.smollm2()
    guessed = formula(read_model(path).architecture).host
    for kv_type, rows in dry_load.compute_buffers(path).host.items():
        for ubatch, row in rows.items():
            assert guessed[kv_type][ubatch].at(8192) == pytest.approx(row.at(8192), rel=0.1)
