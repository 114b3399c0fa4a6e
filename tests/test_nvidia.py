"""NVIDIA's cards: the real pynvml, loading a driver that was compiled here."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from qwenpick.hardware import isolate

GIB = 1 << 30
pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("driver")
    source = Path(__file__).with_name("nvml.c")
    library = folder / "libnvidia-ml.so.1"
    subprocess.run(["cc", "-shared", "-fPIC", "-w", "-o", library, source], check=True)
    return folder


def run(driver: Path, case: str, *command: str, **environment: str) -> subprocess.CompletedProcess:
    """Run qwenpick beside a driver."""
    own = {"LD_LIBRARY_PATH": str(driver), "NVML_CASE": case} | environment
    return subprocess.run(
        [sys.executable, "-m", "qwenpick", *command],
        env=os.environ | own, capture_output=True, text=True, check=False,
    )  # fmt: skip


def probed(driver: Path, case: str, **environment: str) -> dict[str, Any]:
    answer = run(driver, case, "probe", "--json", **environment)
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


def test_one_card(driver: Path) -> None:
    (card,) = probed(driver, "one")["gpus"]
    assert card == {
        "vendor": "nvidia", "name": "NVIDIA GeForce RTX 3090", "total": 24 * GIB,
        "free": 23 * GIB, "unified": False, "driver": "570.133.20, CUDA 12.8", "compute": "8.6",
        "bandwidth_bytes_per_second": 936.096e9,
    }  # fmt: skip


def test_two_cards_and_who_holds_their_memory(driver: Path) -> None:
    found = probed(driver, "two")
    assert len(found["gpus"]) == 2
    assert any("Other processes hold 1.0 GiB" in note for note in found["notes"])


@pytest.mark.parametrize(
    ("named", "count"), [("", 0), ("-1", 0), ("1", 1), ("GPU-bb", 1), ("1,0", 2), ("5,0", 0)]
)
def test_cuda_visible_devices_is_obeyed(driver: Path, named: str, count: int) -> None:
    found = probed(driver, "two", CUDA_VISIBLE_DEVICES=named)
    assert len(found["gpus"]) == count
    assert any("CUDA_VISIBLE_DEVICES" in note for note in found["notes"]) == (count < 2)


def test_of_a_split_card_cuda_uses_one_part(driver: Path) -> None:
    found = probed(driver, "mig")
    (part,) = found["gpus"]
    assert part["name"] == "NVIDIA A100-SXM4-40GB MIG 1g.5gb"
    assert part["total"] == 5 * GIB
    assert part["bandwidth_bytes_per_second"] is None
    assert any("one of the 2 MIG instances" in note for note in found["notes"])


def test_a_part_is_chosen_by_its_uuid(driver: Path) -> None:
    assert len(probed(driver, "mig", CUDA_VISIBLE_DEVICES="GPU-bb")["gpus"]) == 1


def test_one_memory_for_both_is_the_machines(driver: Path) -> None:
    found = probed(driver, "unified")
    (card,) = found["gpus"]
    assert card["unified"]
    assert card["total"] == found["memory"]["total"]


def test_a_card_whose_memory_the_driver_refuses_is_not_given_the_machines(driver: Path) -> None:
    found = probed(driver, "refuses")
    (card,) = found["gpus"]
    assert (card["total"], card["free"], card["unified"]) == (None, None, False)
    assert any("does not say how much memory NVIDIA GeForce RTX 3090" in n for n in found["notes"])
    answer = run(driver, "refuses", "recommend", "--json")
    assert json.loads(answer.stdout)["pick"]["settings"]["gpu_layers"] == 0


def test_a_laptops_card_has_the_laptops_bandwidth(driver: Path) -> None:
    (card,) = probed(driver, "laptop")["gpus"]
    assert card["bandwidth_bytes_per_second"] == 256e9  # 272 on the desktop


@pytest.mark.parametrize("case", ["fails", "crashes", "hangs"])
def test_a_broken_driver_is_a_note(driver: Path, case: str) -> None:
    start = time.monotonic()
    found = probed(driver, case)
    took = time.monotonic() - start
    assert found["gpus"] == []
    assert any("NVIDIA driver" in note for note in found["notes"])
    start = time.monotonic()
    run(driver, "one", "probe", "--json")
    assert took < time.monotonic() - start + 0.6


def test_a_driver_that_hangs_still_has_names(driver: Path, tmp_path: Path) -> None:
    information = tmp_path / "proc" / "driver" / "nvidia" / "gpus" / "0000:01:00.0" / "information"
    information.parent.mkdir(parents=True)
    information.write_text("Model: \t NVIDIA GeForce RTX 3090\nIRQ: 1\n")
    script = (
        "import pathlib; from qwenpick.hardware.probe import probe;"
        "from qwenpick.hardware.system_reader import SystemReader;"
        f"print(probe(SystemReader(root=pathlib.Path({str(tmp_path)!r}))).gpus[0])"
    )
    own = {"LD_LIBRARY_PATH": str(driver), "NVML_CASE": "hangs"}
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | own, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "name='NVIDIA GeForce RTX 3090', total=None" in done.stdout


@pytest.mark.parametrize("fork", [True, False])
def test_the_guard_gives_the_answer_and_does_not_wait_for_none(*, fork: bool) -> None:
    assert isolate.call_isolated(lambda: {"cards": [1]}, seconds=5, fork=fork) == {"cards": [1]}
    start = time.monotonic()
    with pytest.raises(isolate.IsolatedCallError, match="did not answer"):
        isolate.call_isolated(lambda: time.sleep(3), seconds=0.1, fork=fork)
    assert time.monotonic() - start < 1


def test_doctor_tells_of_an_engine_without_cuda(driver: Path) -> None:
    answer = run(driver, "one", "doctor", "--json", HF_HUB_OFFLINE="1")
    checks = {check["name"]: check for check in json.loads(answer.stdout)["checks"]}
    assert answer.returncode == 5
    assert checks["GPU"]["state"] == "bad"
    assert "engine is built for CPU" in checks["GPU"]["found"]
    assert "the prebuilt cu125 engine supports it" in checks["GPU"]["found"]
    assert checks["GPU"]["mend"] == "qwenpick engine install"
