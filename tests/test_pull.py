"""A pull from a real HTTP hub, with the real hub library: what goes well."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

import gguf
import pulling
import pytest
from hub_server import COMMIT, Hub
from pulling import FILE, REPO

from qwenpick.cli.main import main

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Start a hub with one repository, and point HF_ENDPOINT and the home folder away."""
    hub = Hub()
    hub.add(REPO, pulling.model_file(tmp_path / "hub" / FILE))
    hub.start()
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("MODELSCOPE_ENDPOINT", hub.url)
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    yield hub
    hub.shutdown()
    hub.server_close()


@pytest.fixture
def catalogue(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make the hub's file the catalogue's 0.8B Q4_K_M, and give its sha256."""
    path = hub.files[REPO][FILE]
    table = pulling.table(tmp_path / "table.json", size=path.stat().st_size, sha256=hub.sums[path])
    monkeypatch.setenv("QWENPICK_CATALOG", str(table))
    return hub.sums[path]


def test_a_hub_file_comes_once_and_other_tools_find_it(
    hub: Hub, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["pull", f"{REPO}:q4_k_m"]) == 0
    out, err = capsys.readouterr()
    path = Path(out.removesuffix("\n"))
    assert path.read_bytes() == hub.files[REPO][FILE].read_bytes()
    assert "2 MB" in err
    from huggingface_hub import try_to_load_from_cache

    assert try_to_load_from_cache(REPO, FILE, cache_dir=tmp_path / "hf" / "hub") == str(path)
    sent = hub.sent
    assert main(["pull", f"{REPO}:Q4_K_M"]) == 0
    assert capsys.readouterr().out == out
    assert hub.sent == sent


def test_a_size_is_asked_for_at_its_revision_and_then_never_again(
    hub: Hub, catalogue: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["pull", "0.8b", "--q4", "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert first["fetched"] == first["bytes"] == 1 << 21
    assert (first["sha256"], first["source"], first["schema"]) == (catalogue, "hf", 1)
    assert COMMIT in first["path"]
    asked = len(hub.asked)
    assert main(["pull", "0.8b", "--q4", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == first | {"fetched": 0}
    assert len(hub.asked) == asked


def test_a_dry_run_shows_and_fetches_nothing(
    hub: Hub, catalogue: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["pull", "0.8b:Q4_K_M", "--dry-run", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["missing"] == 1 << 21
    assert (document["sha256"], document["basis"]) == (catalogue, "hub")
    assert hub.sent == 0
    assert not (tmp_path / "hf").exists()


@pytest.mark.parametrize("line", ["offline", "gone"])
def test_a_dry_run_without_a_hub_shows_the_tables_word(
    line: str, hub: Hub, catalogue: str, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    if line == "offline":
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    assert main(["pull", "0.8b", "--q4", "--dry-run", "--json"]) == 0
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert (document["basis"], document["missing"], document["sha256"]) == (
        "table", 1 << 21, catalogue,
    )  # fmt: skip
    assert document["revision"] == COMMIT
    assert "the built-in catalogue's data" in err
    assert not hub.asked
    assert main(["pull", "0.8b", "--q4"]) == 4
    assert main(["pull", "owner/repo:Q4_K_M", "--dry-run"]) == 4


def test_other_bytes_than_the_catalogues_are_refused_before_they_come(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table = pulling.table(tmp_path / "t.json", size=1 << 21, sha256="a" * 64)
    monkeypatch.setenv("QWENPICK_CATALOG", str(table))
    assert main(["pull", "0.8b", "--q4"]) == 4
    out, err = capsys.readouterr()
    assert not out
    assert "refused" in err
    assert hub.sent == 0


def test_quantisations_are_listed_where_none_has_the_name(
    hub: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.add(REPO, hub.files[REPO][FILE], "Qwen3.5-0.8B-UD-Q4_K_XL.gguf")
    assert main(["pull", f"{REPO}:Q4_K_L"]) == 2
    err = capsys.readouterr().err
    assert "Q4_K_M" in err
    assert "UD-Q4_K_XL" in err


def test_split_files_come_whole_and_a_projector_beside_them(
    hub: Hub, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for part in (1, 2):
        name = f"Big-Q8_0-{part:05}-of-00002.gguf"
        hub.add("o/big", pulling.model_file(tmp_path / "hub" / name, 1, part, quant="Q8_0"))
    hub.add("o/big", pulling.model_file(tmp_path / "hub" / "mmproj-F16.gguf", 1, 9))
    assert main(["pull", "o/big:Q8_0", "--vision"]) == 0
    path = Path(capsys.readouterr().out.strip())
    assert path.name.endswith("-00001-of-00002.gguf")
    names = {beside.name for beside in path.parent.iterdir()}
    assert {"Big-Q8_0-00002-of-00002.gguf", "mmproj-F16.gguf"} < names


@pytest.mark.parametrize("place", [".lmstudio/models/unsloth/x", "llama", "given"])
def test_a_copy_of_another_tool_is_used_in_place(  # noqa: PLR0913, PLR0917 - fixtures
    place: str, hub: Hub, catalogue: str, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str], tmp_path: Path,
) -> None:  # fmt: skip
    copy = tmp_path / "user" / place / FILE
    copy.parent.mkdir(parents=True)
    copy.write_bytes(hub.files[REPO][FILE].read_bytes())
    monkeypatch.setenv("LLAMA_CACHE", str(tmp_path / "user" / "llama"))
    monkeypatch.setenv("QWENPICK_MODELS", str(tmp_path / "user" / "given"))
    assert main(["pull", "0.8b", "--q4", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["path"] == str(copy)
    assert document["fetched"] == 0
    assert document["sha256"] == catalogue
    assert not hub.asked


@pytest.mark.usefixtures("hub")
def test_a_copy_with_other_bytes_is_not_used(
    catalogue: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    copy = pulling.model_file(tmp_path / "user/.lmstudio/models/a/b" / FILE, seed=5)
    assert main(["pull", "0.8b", "--q4", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["path"] != str(copy)
    assert (document["fetched"], document["sha256"]) == (1 << 21, catalogue)


def test_modelscope_gives_the_same_file_to_the_same_place(
    hub: Hub, catalogue: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["pull", "0.8b", "--q4", "--source", "modelscope", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["source"], document["sha256"]) == ("modelscope", catalogue)
    assert all("/api/v1/models/" in asked for asked in hub.asked)
    assert main(["pull", "0.8b", "--q4", "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert (again["path"], again["fetched"]) == (document["path"], 0)


@pytest.mark.usefixtures("hub", "catalogue")
def test_list_verify_and_rm(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["pull", "0.8b", "--q4"]) == 0
    path = Path(capsys.readouterr().out.strip())
    assert main(["list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert listed["total"] == 1 << 21
    assert listed["files"][0] | {"last_used": ""} == {
        "path": str(path), "size": "0.8b", "quant": "Q4_K_M", "bytes": 1 << 21,
        "source": "hf", "last_used": "",
    }  # fmt: skip
    assert main(["list"]) == 0
    assert "qwenpick chat 0.8b:Q4_K_M" in capsys.readouterr().out
    assert main(["verify", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["files"][0]["state"] == "good"
    with path.open("r+b") as file:
        file.seek(1 << 20)
        file.write(b"rot")
    assert main(["verify", "0.8b", "--json"]) == 4
    assert capsys.readouterr().out == ""
    assert main(["rm", "0.8b:Q4_K_M"]) == 2
    assert "--yes" in capsys.readouterr().err
    assert main(["rm", "0.8b:Q4_K_M", "--yes"]) == 0
    assert not list((tmp_path / "hf" / "hub").glob("models*/**/*"))
    assert main(["verify", "0.8b"]) == 2


@pytest.mark.usefixtures("hub")
def test_a_file_of_the_cache_that_has_rotted_is_fetched_again(
    catalogue: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["pull", "0.8b", "--q4"]) == 0
    path = Path(capsys.readouterr().out.strip())
    with path.open("r+b") as file:
        file.seek(1 << 20)
        file.write(b"rot")
    assert main(["pull", "0.8b", "--q4"]) == 0
    assert hashlib.sha256(path.read_bytes()).hexdigest() == catalogue


def test_the_catalogue_is_refreshed_from_the_hub(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    table = json.loads(pulling.table(tmp_path / "t.json", size=9, sha256=None).read_text())
    table["sizes"] = {"0.8b": table["sizes"]["0.8b"]}
    files = {quant: {"bytes": 9, "exact": False} for quant in ("Q4_K_M", "Q8_0")}
    table["sizes"]["0.8b"]["files"] = files
    hub.add(REPO, hub.files[REPO][FILE], FILE.replace("Q4_K_M", "Q8_0"))
    (tmp_path / "t.json").write_text(json.dumps(table), encoding="utf-8")
    monkeypatch.setenv("QWENPICK_CATALOG", str(tmp_path / "t.json"))
    assert main(["pull", "--refresh"]) == 0
    assert "2 files" in capsys.readouterr().err
    from qwenpick.catalog.table import load

    file = load().models[0].files[0]
    assert (file.bytes, file.bytes_exact, file.sha256) == (
        1 << 21, True, hub.sums[hub.files[REPO][FILE]],
    )  # fmt: skip


def test_a_model_of_another_family_is_set_aside_and_stays_refused(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "hub" / "other.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    hub.add(REPO, path, FILE)
    table = pulling.table(tmp_path / "t.json", size=path.stat().st_size, sha256=hub.sums[path])
    monkeypatch.setenv("QWENPICK_CATALOG", str(table))
    for _ in range(2):
        assert main(["pull", "0.8b", "--q4"]) == 4
        out, err = capsys.readouterr()
        assert not out
        assert "family llama" in err


def test_a_repository_is_gone_with_its_last_file(
    hub: Hub, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    hub.add(REPO, pulling.model_file(tmp_path / "hub" / "Other-Q8_0.gguf", 1, 3, quant="Q8_0"))
    for quant in ("Q4_K_M", "Q8_0"):
        assert main(["pull", f"{REPO}:{quant}"]) == 0
    assert main(["rm", REPO, "--yes"]) == 2
    assert "more than one" in capsys.readouterr().err
    assert main(["rm", f"{REPO}:Q8_0", "--yes"]) == 0
    assert main(["verify", f"{REPO}:Q4_K_M"]) == 0
    assert main(["rm", f"{REPO}:Q4_K_M", "--yes"]) == 0
    assert [path.name for path in (tmp_path / "hf" / "hub").rglob("*") if path.is_file()] == []


@pytest.mark.usefixtures("hub", "catalogue")
def test_ollamas_files_are_named_as_what_they_are(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    manifest = tmp_path / "user/.ollama/models/manifests/registry.ollama.ai/library/qwen3.5/9b"
    manifest.parent.mkdir(parents=True)
    manifest.touch()
    assert main(["pull", "0.8b", "--q4"]) == 0
    assert "Ollama's copies (qwen3.5:9b) are not used" in capsys.readouterr().err
