"""`recommend` and `guide`, through the front door."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from qwenpick.catalog.table import PACKAGED
from qwenpick.cli.main import main

if TYPE_CHECKING:
    from collections.abc import Callable

GIB = 1 << 30
USES = ("chat", "agent", "server", "mobile", "iot", "max-performance")
PARTS = (
    "weights", "repack", "kv_cache", "recurrent_state", "compute", "output", "vision",
    "checkpoints", "overhead",
)  # fmt: skip


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main(["recommend", "--json", *arguments]) == 0, capsys.readouterr().err
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("ram", ["2G", "3G", "6G", "16G", "64G"])
def test_every_pick_fits_and_adds_up(
    capsys: pytest.CaptureFixture[str], ram: str, use: str
) -> None:
    document = run(capsys, "--ram", ram, "--for", use)
    assert document["schema"] == 1
    assert document["machine"]["memory"]["total"] == int(ram[:-1]) * GIB
    assert document["machine"]["gpus"] == []
    pick = document["pick"]
    memory = pick["memory"]
    assert set(memory) == {*PARTS, "total", "host", "devices"}
    assert memory["total"] == sum(memory[part] for part in PARTS)
    assert memory["host"] == memory["total"] <= int(ram[:-1]) * GIB
    assert pick["reason"]
    assert pick["speed"]["basis"] in {"measured", "bandwidth", "reference", "guess"}
    assert {one["size"] for one in document["others"]} | {pick["size"]} == {
        "0.8b", "2b", "4b", "9b",
    }  # fmt: skip
    assert pick["guide"]["agrees"] == (pick["size"] in pick["guide"]["sizes"])
    assert pick["guide"]["agrees"] or pick["guide"]["note"]


@pytest.mark.parametrize(
    ("use", "ram", "sizes"),
    [
        ("mobile", "16G", {"2b"}),
        ("mobile", "1G", {"0.8b"}),
        ("iot", "16G", {"0.8b", "2b"}),
        ("server", "2G", {"0.8b", "2b"}),
    ],
)
def test_uses_take_their_sizes(
    capsys: pytest.CaptureFixture[str], use: str, ram: str, sizes: set[str]
) -> None:
    assert run(capsys, "--ram", ram, "--for", use)["pick"]["size"] in sizes


@pytest.mark.parametrize(
    ("use", "size"),
    [("agent", "4b"), ("server", "9b"), ("mobile", "2b"), ("max-performance", "9b")],
)
def test_uses_take_the_guides_size_on_a_card(
    capsys: pytest.CaptureFixture[str], use: str, size: str
) -> None:
    document = run(capsys, "--gpu", "RTX 3090", "--for", use)
    assert document["pick"]["size"] == size
    assert document["pick"]["guide"]["agrees"]


def test_iot_takes_2b_where_it_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "--ram", "8G", "--for", "iot", "--size", "2B")["pick"]["size"] == "2b"


@pytest.mark.parametrize(
    ("ram", "row"),
    [
        ("3G", "memory < 4 GB"),
        ("3500M", "memory 4 to 8 GB"),
        ("7G", "memory 4 to 8 GB"),
        ("7500M", "memory 8 GB or more"),
        ("8G", "memory 8 GB or more"),
    ],
)
def test_the_guides_row_goes_by_whole_gigabytes(
    capsys: pytest.CaptureFixture[str], ram: str, row: str
) -> None:
    assert run(capsys, "--ram", ram)["pick"]["guide"]["row"] == row


def test_nothing_fits(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recommend", "--ram", "200M"]) == 3
    said = capsys.readouterr()
    assert said.out == ""
    assert "Nothing fits in 200 MiB" in said.err
    assert "0.8B UD-IQ2_XXS" in said.err
    enough = said.err.split("--ram ")[1].strip()
    assert main(["recommend", "--ram", enough]) == 0


def test_a_context_is_a_demand(capsys: pytest.CaptureFixture[str]) -> None:
    pick = run(capsys, "--ram", "8G", "--context", "100000")["pick"]
    assert pick["settings"]["context"] == 100_096  # the next multiple of 256
    assert main(["recommend", "--ram", "1G", "--context", "256k"]) == 3


def test_small_files_only_where_no_larger_one_fits(capsys: pytest.CaptureFixture[str]) -> None:
    document = run(capsys, "--ram", "600M", "--all")
    assert document["pick"]["quant"] == "UD-IQ2_XXS"
    larger = [one for one in document["others"] if one["quant"].lstrip("UDIBF-Q")[0] in "45681"]
    assert len(larger) == 4 * 15
    assert {one["verdict"] for one in larger} == {"too-big"}
    assert run(capsys, "--ram", "800M")["pick"]["quant"].lstrip("UDI-Q")[0] >= "4"


def test_an_unknown_speed_is_a_careful_guess_and_said_to_be_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    document = run(capsys, "--vram", "12G")
    assert document["pick"]["speed"]["basis"] == "guess"
    assert any("careful guess" in note for note in document["notes"])
    assert main(["recommend", "--vram", "12G", "--min-speed", "500"]) == 3


def test_a_card_of_8_gib_holds_the_9b_at_32k(capsys: pytest.CaptureFixture[str]) -> None:
    pick = run(capsys, "--vram", "8G", "--size", "9b", "--q4")["pick"]
    assert pick["settings"] | {"threads": 0} == {
        "context": 32768, "users": 1, "thinking": False, "kv_type": "f16", "gpu_layers": 33,
        "layers": 33, "checkpoints": 4, "threads": 0, "ubatch": 512, "repack": False,
    }  # fmt: skip
    memory = pick["memory"]
    assert memory["host"] + memory["devices"][0]["bytes"] == memory["total"]
    assert memory["devices"][0]["bytes"] <= 8 * GIB


def test_a_card_of_12_gib_hides_no_size(capsys: pytest.CaptureFixture[str]) -> None:
    document = run(capsys, "--gpu", "RTX 3060 12GB", "--all")
    assert len(document["others"]) == 4 * 22 - 1
    small = [one for one in document["others"] if one["size"] in {"0.8b", "2b"}]
    assert {one["verdict"] for one in small} == {"fits"}


def test_two_cards_share_the_layers(capsys: pytest.CaptureFixture[str]) -> None:
    document = run(capsys, "--gpu", "2x RTX 3090", "--for", "max-performance")
    devices = document["pick"]["memory"]["devices"]
    assert [device["name"] for device in devices] == ["RTX 3090 24GB"] * 2
    assert all(device["bytes"] > GIB for device in devices)


VM = ("--machine", str(Path(__file__).with_name("machines") / "vm-2-cores-24gb.json"))


@pytest.mark.parametrize("ram", ["1G", "2G", "3G", "6G", "16G"])
def test_what_would_change_the_pick_does(capsys: pytest.CaptureFixture[str], ram: str) -> None:
    for change in run(capsys, *VM, "--ram", ram)["pick"]["changes"]:
        asked = {
            "memory": ("--ram", f"{change['value'] / (1 << 20)}M"),
            "patience": ("--ram", ram, "--patience", str(change["value"])),
            "min_speed": ("--ram", ram, "--min-speed", str(change["value"])),
        }[change["what"]]
        again = run(capsys, *VM, *asked)["pick"]
        assert (again["size"], again["quant"]) == (change["size"], change["quant"])


def test_more_memory_or_patience_is_named_where_it_would_change_the_pick(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(capsys, *VM, "--ram", "1G")["pick"]["changes"]


def test_a_machine_file_is_read_and_flags_override_it(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["probe", "--json"]) == 0
    file = tmp_path / "machine.json"
    machine = json.loads(capsys.readouterr().out)
    machine["memory"] |= {"total": 4 * GIB, "available": 3 * GIB}
    file.write_text(json.dumps(machine))
    assert run(capsys, "--machine", str(file))["machine"]["memory"]["available"] == 3 * GIB
    other = run(capsys, "--machine", str(file), "--ram", "6G")["machine"]["memory"]
    assert other["available"] == 6 * GIB


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--ram", "lots"], "not a memory size"),
        (["--ram", "8"], "no unit"),
        (["--ram", "0G"], "not a possible memory"),
        (["--context", "0"], "not a possible context"),
        (["--context", "10000000"], "longer than the models support"),
        (["--for", "lunch"], "Unknown use"),
        (["--size", "7b"], "Unknown size"),
        (["--quant", "Q9_X"], "Unknown quantisation"),
        (["--q4", "--q8"], "More than one quantisation"),
        (["--gpu", "RTX 3060"], "RTX 3060 12GB"),
        (["--gpu", "Voodoo 2"], "Unknown GPU"),
        (["--kv-type", "f32"], "Unknown KV cache type"),
        (["--ubatch", "17"], "not supported"),
        (["--min-speed", "nan"], "cannot be nan"),
        (["--machine", "/nowhere.json"], "Cannot read"),
        (["--plot", "image.bmp"], "neither .svg nor .png"),
        (["--nonsense"], "No such option"),
    ],
)
def test_bad_input_is_refused(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert main(["recommend", "--json", *arguments]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert said in output.err
    assert 1 <= output.err.count("\n") <= 2


def test_the_page_is_readable_in_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    for more in ([], ["--all"]):
        assert main(["recommend", *VM, *more]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert max(map(len, lines)) <= 80
        assert lines[0].startswith("AMD EPYC, 2 cores, no GPU")
        assert any(line.startswith("  Run     Qwen3.5-") for line in lines)
        assert len([line for line in lines if line.startswith("> ")]) == 1
        assert "Qwen's guide says" in "\n".join(lines)


def test_a_plot_is_drawn(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    picture = tmp_path / "memory.svg"
    run(capsys, "--ram", "8G", "--plot", str(picture))
    assert "<svg" in picture.read_text(encoding="utf-8")


def test_the_guide_marks_one_row(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["guide", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert len(rows) == 8
    assert [row["here"] for row in rows].count(True) == 1
    assert main(["guide"]) == 0
    assert "maximum performance" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda table: table.pop("sizes"), "required field `sizes`"),
        (
            lambda table: table["sizes"]["4b"]["files"]["Q8_0"].update(bytes=-1),
            "`int` >= 1 at `$.sizes",
        ),
        (lambda table: table["sizes"]["4b"].update(repo="../x"), "at `$.sizes[...].repo`"),
        (lambda table: table["sizes"]["4b"].update(file_pattern="../{quant}"), "no file name"),
        (lambda table: table["benchmarks"].pop("MMLU-Pro"), "MMLU-Pro"),
        (lambda table: table["divergence"].clear(), "divergence"),
        (lambda table: table["speed"].pop("cpu"), "speed lacks cpu"),
        (lambda table: table["uses"].pop("agent"), "uses lacks agent"),
        (lambda table: table["sizes"]["4b"]["arch"].update(layers=10**15), "arch.layers`"),
        (lambda table: table["sizes"]["4b"]["compute"]["host"].pop("f16"), "compute needs f16"),
        (lambda table: table["sizes"]["4b"]["compute"]["card"]["f16"].clear(), "length >= 2"),
        (lambda table: table["sizes"]["4b"]["sampling"].pop("thinking"), "needs thinking"),
        (lambda table: table["prompt_tokens_per_second"].append(["a"]), "length 4"),
    ],
)
def test_a_broken_table_is_a_clear_error(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[dict[str, Any]], object],
    said: str,
) -> None:
    table = json.loads(PACKAGED.read_text(encoding="utf-8"))
    spoil(table)
    file = tmp_path / "table.json"
    file.write_text(json.dumps(table))
    monkeypatch.setenv("QWENPICK_CATALOG", str(file))
    assert main(["recommend"]) == 2
    output = capsys.readouterr()
    assert said in output.err
    assert "QWENPICK_CATALOG" in output.err


def test_the_config_file_gives_defaults_and_flags_win(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "config.toml"
    file.write_text('[recommend]\nram = "6G"\nfor = "server"\n')
    monkeypatch.setenv("QWENPICK_CONFIG", str(file))
    document = run(capsys)
    assert document["machine"]["memory"]["total"] == 6 * GIB
    assert document["wish"]["use"] == "server"
    assert run(capsys, "--ram", "3G")["machine"]["memory"]["total"] == 3 * GIB
    file.write_text("[recommend]\nlunch = 1\n")
    assert main(["recommend"]) == 2
    assert "lunch" in capsys.readouterr().err
    file.write_text("not toml")
    assert main(["recommend"]) == 2


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_closed_pipe_ends_quietly(form: list[str]) -> None:
    script = Path(sys.executable).with_name("qwenpick")
    command = [str(script), "recommend", "--all", *form]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.close()  # before a byte was written
        assert child.stderr.read() == b""
    assert child.returncode == 0


def test_a_catalogue_without_compute_buffers_gets_an_estimate_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("--ram", "6G", "--size", "4b", "--q4")
    exact = run(capsys, *arguments)["pick"]["memory"]
    assert main(["recommend", *arguments]) == 0
    assert "intermediate results" not in capsys.readouterr().out
    table = json.loads(PACKAGED.read_text(encoding="utf-8"))
    for entry in table["sizes"].values():
        del entry["compute"]
    path = tmp_path / "table.json"
    path.write_text(json.dumps(table), encoding="utf-8")
    monkeypatch.setenv("QWENPICK_CATALOG", str(path))
    guess = run(capsys, *arguments)["pick"]["memory"]
    assert guess.keys() == exact.keys()
    assert exact["compute"] < guess["compute"] < exact["compute"] + (5 << 20)
    assert main(["recommend", *arguments]) == 0
    assert "intermediate results is estimated" in capsys.readouterr().out
