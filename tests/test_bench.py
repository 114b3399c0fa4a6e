"""`bench`: what was measured is kept, and later answers stand on it."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import engines
import pytest
import shapes
from msgspec.structs import replace

from qwenpick.app import loader
from qwenpick.app.local_model import identify
from qwenpick.app.pick_input import ask_machine
from qwenpick.catalog import table
from qwenpick.cli.main import main
from qwenpick.engine import bench as measuring
from qwenpick.engine.log import Log
from qwenpick.hardware import probe as probing
from qwenpick.pick.request import Request

if TYPE_CHECKING:
    from pathlib import Path

REPACKED = "CPU_REPACK"
RECORD = {
    "model_file": "Qwen3.5-4B-Q6_K.gguf", "size": "4b", "quant": "Q6_K",
    "weights_bytes": 3_525_956_768, "threads": 1, "repack": False, "gpu_layers": 0,
    "prompt_rate": 50.0, "decode_rate": 8.5, "memory_bandwidth_bytes_per_second": None,
    "engine_version": "0.3.36", "taken": "2026-11-24",
}  # fmt: skip


def test_what_was_measured_is_kept_and_used(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, own_home: Path
) -> None:
    path = own_home / "home" / "measurements.json"
    asked = ["bench", str(engines.tiny()), "--threads", "1", "--no-repack", "--json"]
    monkeypatch.setattr(measuring, "STEADY", 0)  # its two passes never agree
    assert main(asked) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["tuned"][0]["steady"] is False
    assert "other programs were busy; not saved." in err
    assert not path.exists()
    monkeypatch.setattr(measuring, "STEADY", math.inf)  # they always do, however busy it is here
    assert main(asked) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["settings"]["threads"] == 1
    assert document["prompt_rate"] > document["decode_rate"] > 0
    assert len(document["tuned"]) == 1
    kept = json.loads(path.read_text(encoding="utf-8"))
    assert kept[0]["decode_rate"] == document["decode_rate"]
    assert main(["recommend", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    bandwidth = found["machine"]["memory"]["bandwidth_bytes_per_second"]
    assert bandwidth == kept[0]["memory_bandwidth_bytes_per_second"] > 1e7
    assert found["pick"]["speed"]["basis"] == "bandwidth"


def test_a_measured_file_is_measured(capsys: pytest.CaptureFixture[str], own_home: Path) -> None:
    speed = recommended(capsys, own_home, [RECORD])["speed"]
    assert (speed["decode"], speed["prompt"], speed["basis"]) == (8.5, 50.0, "measured")


@pytest.mark.parametrize(
    ("repacked", "asked", "decode"),
    [(9.0, (), 8.5), (10.0, (), 10.0), (10.0, ("--no-repack",), 8.5), (9.0, ("--repack",), 9.0)],
)
def test_of_several_set_ups_the_one_that_a_chat_uses_counts(
    capsys: pytest.CaptureFixture[str],
    own_home: Path,
    repacked: float,
    asked: tuple[str, ...],
    decode: float,
) -> None:
    threads = probing.probe().cpu.usable_threads
    records = [
        RECORD | {"threads": threads, "decode_rate": 99.0, "engine_version": "0.3.1"},
        RECORD | {"threads": threads},
        RECORD | {"threads": threads, "repack": True, "decode_rate": repacked},
        RECORD | {"threads": threads + 1, "decode_rate": 5.0},
    ]
    pick = recommended(capsys, own_home, records, *asked)
    assert pick["speed"]["decode"] == decode
    assert (pick["settings"]["threads"], pick["settings"]["repack"]) == (threads, decode != 8.5)


def test_fewer_threads_are_kept_only_where_more_were_measured(
    capsys: pytest.CaptureFixture[str], own_home: Path
) -> None:
    usual = probing.probe().cpu.usable_threads
    other = RECORD | {"threads": usual + 1}
    assert recommended(capsys, own_home, [other])["settings"]["threads"] == usual
    slower = RECORD | {"threads": usual, "decode_rate": 8.0}
    pick = recommended(capsys, own_home, [slower, other])
    assert (pick["settings"]["threads"], pick["speed"]["decode"]) == (usual + 1, 8.5)


def test_other_sizes_are_estimated_by_the_best_set_up(
    capsys: pytest.CaptureFixture[str], own_home: Path
) -> None:
    slow = RECORD | {"threads": 1, "decode_rate": 5.0}
    one = recommended(capsys, own_home, [RECORD], size="2b")
    both = recommended(capsys, own_home, [RECORD, slow], size="2b")
    assert one["speed"]["basis"] == "bandwidth"
    assert both["speed"] == one["speed"]


def recommended(
    capsys: pytest.CaptureFixture[str],
    own_home: Path,
    records: list[dict[str, Any]],
    *asked: str,
    size: str = "4b",
) -> dict[str, Any]:
    """Give the pick where so much was measured."""
    (own_home / "home").mkdir(exist_ok=True)
    (own_home / "home" / "measurements.json").write_text(json.dumps(records))
    assert main(["recommend", "--ram", "16G", "--size", size, "--q6", *asked, "--json"]) == 0
    pick: dict[str, Any] = json.loads(capsys.readouterr().out)["pick"]
    return pick


@pytest.fixture
def k_quants(tmp_path: Path) -> Path:
    """Write a file whose weights a processor would repack."""
    shape = replace(shapes.TINY, hidden=256, ffn=512, linear_key_dim=64, linear_value_dim=64)
    return shapes.write(tmp_path / "k.gguf", shape, "Q4_K")


def name_amx(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the engine name the buffer of repacked weights as one with AMX does."""
    names = Log.names
    monkeypatch.setattr(
        Log, "names", lambda log: {"AMX" if one == REPACKED else one for one in names(log)}
    )


def test_weights_that_would_be_repacked_for_amx_are_left_out(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, k_quants: Path
) -> None:
    name_amx(monkeypatch)
    path = str(k_quants)
    assert main(["bench", path, "--threads", "1", "--json"]) == 0
    out, err = capsys.readouterr()
    assert [one["repack"] for one in json.loads(out)["tuned"]] == [False]
    assert err.count("Repacked weights are left out.") == 1
    for asked in (["bench"], ["chat", "-p", "Hello."]):
        assert main([*asked, path, "--threads", "1", "--repack"]) == 5
        said = capsys.readouterr().err
        assert "AMX" in said
        assert "CXXFLAGS=-mno-amx-int8" in said


def test_a_chat_goes_on_where_an_engine_can_repack_no_more(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    k_quants: Path,
    own_home: Path,
) -> None:
    monkeypatch.setattr(measuring, "STEADY", math.inf)
    threads = str(probing.probe().cpu.usable_threads)
    assert main(["bench", str(k_quants), "--threads", threads, "--no-repack"]) == 0
    capsys.readouterr()
    kept = own_home / "home" / "measurements.json"
    [record] = json.loads(kept.read_text(encoding="utf-8"))
    repacked = record | {"repack": True, "decode_rate": 2 * record["decode_rate"]}
    kept.write_text(json.dumps([record, repacked]), encoding="utf-8")
    name_amx(monkeypatch)
    asked = ["chat", str(k_quants), "-p", "Hello.", "--max-tokens", "4", "--no-save", "--json"]
    assert main(asked) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["settings"]["repack"] is False
    assert "AMX" in err


def test_repacked_weights_that_do_not_fit_are_not_tried(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, k_quants: Path
) -> None:
    least = ["--context", "2048", "--ubatch", "64", "--threads", "1"]
    question = ask_machine(Request(context=2048, ubatch=64, repack=False), table.load())
    local = identify(k_quants, "file", question.catalog)
    needed = loader.prepare(local, question, loader.LoadOverrides()).memory.total
    machine = question.machine
    small = replace(machine, gpus=(), memory=replace(machine.memory, available=needed))
    monkeypatch.setattr(probing, "probe", lambda: small)
    assert main(["bench", str(k_quants), *least, "--json"]) == 0
    out, err = capsys.readouterr()
    assert [one["repack"] for one in json.loads(out)["tuned"]] == [False]
    assert "Repacked weights are left out." in err
    assert main(["bench", str(k_quants), *least, "--repack"]) == 5
    assert "are available" in capsys.readouterr().err
