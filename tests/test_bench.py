"""`bench`: what was measured is kept, and later answers stand on it."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import TYPE_CHECKING

import shapes

from qwenpick.cli.app import main
from qwenpick.run import bench as measuring
from qwenpick.run.log import Log

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

REPACKED = "CPU_REPACK"


def test_what_was_measured_is_kept_and_used(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, own_home: Path
) -> None:
    path = own_home / "home" / "measurements.json"
    asked = ["bench", "demo", "--threads", "1", "--no-repack", "--json"]
    monkeypatch.setattr(measuring, "STEADY", 0)  # its two passes never agree
    assert main(asked) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["tuned"][0]["steady"] is False
    assert "it is not kept" in err
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
    assert bandwidth == kept[0]["memory_bandwidth_bytes_per_second"] > 1e9
    assert found["pick"]["speed"]["basis"] == "bandwidth"


def test_a_measured_file_is_measured(capsys: pytest.CaptureFixture[str], own_home: Path) -> None:
    record = {
        "model_file": "Qwen3.5-4B-Q6_K.gguf", "size": "4b", "quant": "Q6_K",
        "weights_bytes": 3_525_956_768, "threads": 1, "repack": False, "gpu_layers": 0,
        "prompt_rate": 50.0, "decode_rate": 8.5, "memory_bandwidth_bytes_per_second": None,
        "engine_version": "0.3.36", "taken": "2026-11-24",
    }  # fmt: skip
    (own_home / "home").mkdir()
    (own_home / "home" / "measurements.json").write_text(json.dumps([record]))
    assert main(["recommend", "--ram", "16G", "--size", "4b", "--q6", "--json"]) == 0
    pick = json.loads(capsys.readouterr().out)["pick"]
    assert pick["speed"] == {"decode": 8.5, "prompt": 50.0, "basis": "measured"}
    assert pick["settings"]["threads"] == 1


def test_weights_that_would_be_repacked_for_amx_are_left_out(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shape = replace(shapes.TINY, hidden=256, ffn=512, linear_key_dim=64, linear_value_dim=64)
    path = str(shapes.write(tmp_path / "k.gguf", shape, "Q4_K"))
    names = Log.names
    monkeypatch.setattr(
        Log, "names", lambda log: {"AMX" if one == REPACKED else one for one in names(log)}
    )
    assert main(["bench", path, "--threads", "1", "--json"]) == 0
    out, err = capsys.readouterr()
    assert [one["repack"] for one in json.loads(out)["tuned"]] == [False]
    assert err.count("Repacked weights are left out.") == 1
    for asked in (["bench"], ["chat", "-p", "Hello."]):
        assert main([*asked, path, "--threads", "1", "--repack"]) == 5
        said = capsys.readouterr().err
        assert "AMX" in said
        assert "CXXFLAGS=-mno-amx-int8" in said
