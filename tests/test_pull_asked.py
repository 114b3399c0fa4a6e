"""A complete file that is not what was asked for: its header says so, and it is quarantined."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import gguf
import pulling
import pytest
from hub_server import Hub
from msgspec.structs import replace
from pulling import FILE, REPO, TINY

from qwenpick.cli.main import main

if TYPE_CHECKING:
    from collections.abc import Iterator

OTHER = replace(TINY, hidden=512)
"""In these tests the shape of the 2B."""


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Start an empty hub."""
    hub = Hub()
    hub.start()
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    yield hub
    hub.shutdown()
    hub.server_close()


def offer(hub: Hub, path: Path, *, pinned: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Offer a file as the 0.8B's Q4_K_M, and have the table know its sha256 or not."""
    sha256 = hub.add(REPO, path, FILE)
    table = pulling.table(
        path.with_suffix(".json"), size=path.stat().st_size, sha256=sha256 if pinned else None
    )
    document = json.loads(table.read_text())
    document["sizes"]["2b"]["arch"] |= {"hidden": OTHER.hidden, "layers": OTHER.layers}
    table.write_text(json.dumps(document))
    monkeypatch.setenv("QWENPICK_CATALOG", str(table))


def refused(model: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pull", *model.split()]) == 4
    out, err = capsys.readouterr()
    assert not out
    assert "is complete, but not what was asked for" in err
    assert said in err
    aside = next(tmp_path.glob("hf/hub/*/set-aside/*"))
    assert aside.name.startswith(FILE)
    assert str(aside) in err
    assert not list(tmp_path.glob("hf/hub/*/snapshots/**/*.gguf"))
    assert not list(tmp_path.glob("hf/hub/*/blobs/*"))
    assert main(["list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert listed["files"] == []
    assert listed["left_over"] == [{"path": str(aside), "bytes": aside.stat().st_size}]


@pytest.mark.parametrize("pinned", [False, True])
@pytest.mark.parametrize(
    ("arch", "said"), [(OTHER, "the shape of Qwen3.5-2B, not of Qwen3.5-0.8B")]
)
def test_another_size_is_set_aside(  # noqa: PLR0913, PLR0917 - fixtures
    arch: object, said: str, pinned: bool, hub: Hub, tmp_path: Path,  # noqa: FBT001 - a parameter
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    path = pulling.model_file(tmp_path / "offered", 1, arch=arch)
    offer(hub, path, pinned=pinned, monkeypatch=monkeypatch)
    refused("0.8b --q4", said, tmp_path, capsys)


def test_a_shape_of_no_size_counts_where_the_table_does_not_mean_the_file(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = pulling.model_file(tmp_path / "offered", 1, arch=replace(TINY, layers=8))
    offer(hub, path, pinned=False, monkeypatch=monkeypatch)
    refused("0.8b --q4", "256 wide with 8 layers", tmp_path, capsys)
    offer(hub, path, pinned=True, monkeypatch=monkeypatch)
    assert main(["pull", "0.8b", "--q4"]) == 0


def test_a_block_that_predicts_further_tokens_is_no_layer(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = pulling.model_file(tmp_path / "offered", 1, arch=replace(TINY, mtp_layers=1))
    offer(hub, path, pinned=False, monkeypatch=monkeypatch)
    assert main(["pull", "0.8b", "--q4"]) == 0


@pytest.mark.parametrize("model", ["0.8b --q4", f"{REPO}:Q4_K_M", REPO])
def test_another_quantisation_is_set_aside(
    model: str, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    path = pulling.model_file(tmp_path / "offered", 1, quant="Q8_0")
    offer(hub, path, pinned=False, monkeypatch=monkeypatch)
    refused(model, "its header says Q8_0, not Q4_K_M", tmp_path, capsys)


@pytest.mark.parametrize(
    ("name", "file_type"),
    [
        ("m-Q4_K_M.gguf", 15),
        ("m-q4_k_m.gguf", 15),
        ("m-UD-Q4_K_XL.gguf", 15),
        ("m-UD-IQ2_M.gguf", 10),
        ("m-Q4_K_L.gguf", 15),
        ("m-IQ4_XS.gguf", 30),
        ("m-F16.gguf", 32),
        ("m-Q4_K_M.gguf", None),
        ("m-Q4_K_M.gguf", 15 + 1024),
        ("m-Q4_K_M.gguf", 9999),
        ("model.gguf", 7),
    ],
)
def test_no_good_file_is_refused(
    name: str, file_type: int | None, hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.add("o/r", header_only(tmp_path / "offered", file_type), name)
    assert main(["pull", "o/r"]) == 0
    path = Path(capsys.readouterr().out.strip())
    assert path.name == name


def test_a_file_that_is_named_is_taken_as_it_is_and_told(
    hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.add("o/r", header_only(tmp_path / "offered", 7), "m-Q4_K_M.gguf")
    assert main(["pull", "o/r/m-Q4_K_M.gguf"]) == 0
    assert "The file's name says Q4_K_M, its header Q8_0." in capsys.readouterr().err


def header_only(path: Path, file_type: int | None) -> Path:
    writer = gguf.GGUFWriter(path, "qwen35")
    if file_type is not None:
        writer.add_file_type(file_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
