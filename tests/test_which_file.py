"""Which file a command means: the one used last, else what is installed, else the pick."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import shapes
from hub_server import COMMIT, Hub
from msgspec.structs import replace

from qwenpick.catalog import table
from qwenpick.cli.main import main
from qwenpick.hardware import probe as probing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qwenpick.hardware.machine import Machine

MACHINES = Path(__file__).with_name("machines")
QUICK = ("-p", "hi", "--max-tokens", "2", "--threads", "1", "--json")


@pytest.fixture(autouse=True)
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Serve one tiny model under the name of every file of the catalogue."""
    hub = Hub()
    path = shapes.write(tmp_path / "small.gguf", shapes.TINY, "F16")
    for model in table.load().models:
        for listed in model.files:
            hub.add(model.repo, path, listed.name)
    document = json.loads(table.PACKAGED.read_text("utf-8"))
    for size in document["sizes"].values():
        size["revision"] = COMMIT
        for file in size["files"].values():
            file |= {"exact": False, "sha256": hub.sums[path]}
    (tmp_path / "table.json").write_text(json.dumps(document), "utf-8")
    monkeypatch.setenv("QWENPICK_CATALOG", str(tmp_path / "table.json"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HOME", str(tmp_path))
    hub.start()
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    yield hub
    hub.shutdown()
    hub.server_close()


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Be a machine with 24 GB of RAM and no GPU, whatever this one is."""
    here = probing.from_file(MACHINES / "vm-2-cores-24gb.json")
    here = replace(here, engine=probing.probe().engine)
    monkeypatch.setattr(probing, "probe", lambda: here)
    return here


def model_of(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[str, str, str]:
    """Chat, and give the size and the quantisation that answered, and what stderr said."""
    capsys.readouterr()
    assert main(["chat", *words, *QUICK]) == 0, capsys.readouterr().err
    out, err = capsys.readouterr()
    model: dict[str, Any] = json.loads(out)["model"]
    return model["size"], model["quant"], err


def pick_of(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[str, str]:
    capsys.readouterr()
    assert main(["recommend", "--json", *words]) == 0
    pick = json.loads(capsys.readouterr().out)["pick"]
    return pick["size"], pick["quant"]


def free(machine: Machine, share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have so much less memory available."""
    memory = replace(machine.memory, available=int(machine.memory.available * share))
    monkeypatch.setattr(probing, "probe", lambda: replace(machine, memory=memory))


@pytest.mark.usefixtures("machine")
def test_recommend_pull_and_chat_pick_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    size, quant = pick_of(capsys)
    name = f"Qwen3.5-{size.upper()}-{quant}.gguf"
    assert main(["pull", "--dry-run"]) == 0
    assert capsys.readouterr().out.strip().endswith(name)
    assert main(["chat", *QUICK]) == 2  # it asks, and there is no terminal
    assert f"Qwen3.5-{size.upper()} {quant} is not installed." in capsys.readouterr().err
    assert model_of(capsys, "--yes")[:2] == (size, quant)


@pytest.mark.parametrize("size", ["0.8b", "9b"])
@pytest.mark.usefixtures("machine")
def test_of_a_size_pull_and_chat_take_what_recommend_picks_of_it(
    size: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _, quant = pick_of(capsys, "--size", size)
    assert main(["pull", size]) == 0
    assert capsys.readouterr().out.strip().endswith(f"-{quant}.gguf")
    assert model_of(capsys, size)[:2] == (size, quant)


def test_what_is_installed_comes_first_also_with_less_memory_free(
    machine: Machine, hub: Hub, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert pick_of(capsys) != ("9b", "Q4_K_M")
    assert main(["pull", "9b", "--q4"]) == 0
    sent = hub.sent
    for share in (1.0, 0.7):
        free(machine, share, monkeypatch)
        size, quant, err = model_of(capsys)
        assert (size, quant) == ("9b", "Q4_K_M")
        said = [line for line in err.splitlines() if line.startswith("Using ")]
        assert len(said) == 1
        assert (
            f"The pick for this machine is {' '.join(pick_of(capsys)).replace('b ', 'B ')}"
            in said[0]
        )
    assert hub.sent == sent


def test_less_memory_costs_context_and_not_the_file(
    machine: Machine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["pull", "9b", "--q4"]) == 0
    memory = replace(machine.memory, available=6_500_000_000)
    monkeypatch.setattr(probing, "probe", lambda: replace(machine, memory=memory))
    assert pick_of(capsys)[0] != "9b"
    assert model_of(capsys)[0] == "9b"


@pytest.mark.usefixtures("machine")
def test_of_a_size_the_installed_file_is_taken(
    hub: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    for quant in ("--q6", "--q2"):
        assert main(["pull", "4b", quant]) == 0
    sent = hub.sent
    size, quant, err = model_of(capsys, "4b")
    assert (size, quant) == ("4b", "Q6_K")
    assert "Using Qwen3.5-4B Q6_K, the best installed 4B file." in err
    assert hub.sent == sent


@pytest.mark.usefixtures("machine")
def test_without_a_model_it_is_the_one_used_last(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pull", "9b", "--q4"]) == 0
    assert main(["pull", "0.8b", "--q8"]) == 0
    assert model_of(capsys, "0.8b:Q8_0")[2] == ""  # the MODEL says it all
    size, quant, err = model_of(capsys)
    assert (size, quant) == ("0.8b", "Q8_0")
    assert "the model used last" in err
    assert model_of(capsys, "--q4")[:2] == ("9b", "Q4_K_M")
    assert main(["rm", "9b:Q4_K_M", "--yes"]) == 0
    assert model_of(capsys)[:2] == ("0.8b", "Q8_0")


def test_no_save_remembers_nothing(
    machine: Machine, own_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del machine
    assert main(["pull", "0.8b", "--q8"]) == 0
    model_of(capsys, "0.8b", "--no-save")
    assert not (own_home / "home" / "last.json").exists()


@pytest.mark.parametrize("text", ["", "{", '{"path": 5}', "[" * 100_000, '{"path": "/none.gguf"}'])
@pytest.mark.usefixtures("machine")
def test_a_broken_memory_of_it_counts_as_none(
    text: str, own_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["pull", "0.8b", "--q8"]) == 0
    (own_home / "home").mkdir(exist_ok=True)
    (own_home / "home" / "last.json").write_text(text)
    assert model_of(capsys)[:2] == ("0.8b", "Q8_0")


def test_a_gpu_that_the_engine_cannot_use_is_named(
    machine: Machine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with_card = probing.from_file(MACHINES / "rtx-3060-12gb.json")
    with_card = replace(with_card, engine=replace(machine.engine, backends=("cpu",)))
    monkeypatch.setattr(probing, "probe", lambda: with_card)
    assert main(["recommend", "--json"]) == 0
    notes = json.loads(capsys.readouterr().out)["notes"]
    assert any("qwenpick engine install" in note for note in notes)
    hardware = pick_of(capsys)
    size, quant, err = model_of(capsys, "--yes")
    assert "The installed engine cannot use " in err
    assert "qwenpick engine install" in err
    assert hardware != (size, quant)
