"""Every check of doctor, failing and passing; and the command, by the front door."""

from __future__ import annotations

import http.server
import json
import sys
import threading
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace
from trees import GIB, V2, machine

from qwenpick.cli.main import main
from qwenpick.hardware import checks, health
from qwenpick.hardware.build import Build
from qwenpick.hardware.checks import CheckInputs, EngineTrial, run_checks
from qwenpick.hardware.machine import Disk, EngineBuild, Gpu, Memory
from qwenpick.hardware.probe import probe

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CARD = Gpu(vendor="nvidia", name="RTX 3090", total=24 * GIB, free=24 * GIB)
ENGINE = EngineBuild(installed=True, version="0.3.36", backends=("cpu",), knows_qwen35=True)
COMPILED = Build(backend="cuda", reason="", cmake="-DGGML_CUDA=on", needs=("c++", "nvcc"))


@pytest.fixture
def sound(tmp_path: Path) -> CheckInputs:
    here = probe(machine(tmp_path, {}))
    here = replace(here, engine=ENGINE, disk=Disk(path="/x", free=100 * 10**9))
    return CheckInputs(
        machine=here,
        fits=Build(backend="cpu", reason="", wheels="cpu"),
        trial=EngineTrial(started=True, knows_qwen35=True),
        smallest=338_000_000,
        largest=9_500_000_000,
        hub="https://hub.example",
    )


def test_a_sound_machine_has_no_complaint(sound: CheckInputs) -> None:
    found = run_checks(sound)
    assert [check.state for check in found] == ["good"] * len(found)
    assert all(check.fix is None for check in found)


def with_machine(sound: CheckInputs, **changes: object) -> CheckInputs:
    return replace(sound, machine=replace(sound.machine, **changes))


def test_no_engine(sound: CheckInputs) -> None:
    check = checks.engine(replace(sound, trial=None))
    assert (check.state, check.fix) == ("bad", "qwenpick engine install")


def test_an_engine_that_crashes(sound: CheckInputs) -> None:
    check = checks.engine(replace(sound, trial=EngineTrial(started=False, problem="illegal")))
    assert check.state == "bad"
    assert "illegal" in check.found


@pytest.mark.parametrize("knows", [True, False])
def test_an_engine_that_is_too_old(sound: CheckInputs, *, knows: bool) -> None:
    old = with_machine(sound, engine=replace(ENGINE, knows_qwen35=knows))
    check = checks.engine(replace(old, trial=EngineTrial(started=True, knows_qwen35=False)))
    assert check.state == "bad"
    assert "too old" in check.found


def test_a_gpu_and_an_engine_for_the_cpu(sound: CheckInputs) -> None:
    fits = Build(backend="cuda", reason="", wheels="cu125")
    check = checks.backend(replace(with_machine(sound, gpus=(CARD,)), fits=fits))
    assert check.found == (
        "RTX 3090, but the engine is built for CPU; the prebuilt cu125 engine supports it"
    )
    assert (check.state, check.fix) == ("bad", "qwenpick engine install")


def test_a_gpu_for_which_the_engine_has_to_be_compiled(sound: CheckInputs) -> None:
    check = checks.backend(replace(with_machine(sound, gpus=(CARD,)), fits=COMPILED))
    assert "an engine for cuda has to be compiled" in check.found


@pytest.mark.parametrize("backend", ["cuda", "vulkan"])
def test_a_gpu_and_an_engine_that_drives_it(sound: CheckInputs, backend: str) -> None:
    built = replace(ENGINE, backends=("cpu", backend))
    assert checks.backend(with_machine(sound, gpus=(CARD,), engine=built)).state == "good"


def test_a_gpu_and_no_engine(sound: CheckInputs) -> None:
    without = with_machine(sound, gpus=(CARD,), engine=EngineBuild(installed=False))
    assert checks.backend(without).state == "warning"


@pytest.mark.parametrize(
    ("missing", "started", "state"),
    [((), True, "good"), (("nvcc",), True, "warning"), (("c++", "nvcc"), False, "bad")],
)
def test_compiler(sound: CheckInputs, missing: tuple[str, ...], started: bool, state: str) -> None:  # noqa: FBT001 - a parameter of pytest's
    check = checks.compiler(
        replace(sound, fits=COMPILED, missing=missing, trial=EngineTrial(started=started))
    )
    assert check.state == state
    assert (check.fix is None) == (state == "good")


@pytest.mark.parametrize(
    ("memory", "state"),
    [
        (Memory(total=64 * GIB, available=GIB, limit=GIB, limit_source="limit"), "good"),
        (Memory(total=64 * GIB, available=GIB // 8, limit=GIB // 4, limit_source="limit"), "bad"),
        (Memory(total=8 * GIB, available=GIB // 8), "warning"),
        (Memory(total=GIB // 4, available=GIB // 8), "bad"),
    ],
)
def test_memory(sound: CheckInputs, memory: Memory, state: str) -> None:
    assert checks.memory(with_machine(sound, memory=memory)).state == state


@pytest.mark.parametrize(("used", "state"), [(0, "good"), (GIB, "warning")])
def test_swap(sound: CheckInputs, used: int, state: str) -> None:
    assert checks.swap(replace(sound, swap_used=used)).state == state


@pytest.mark.parametrize(
    ("free", "state"),
    [(None, "warning"), (10**8, "bad"), (10**9, "warning"), (10**11, "good")],
)
def test_space(sound: CheckInputs, free: int | None, state: str) -> None:
    found = with_machine(sound, disk=Disk(path="/x", free=free))
    assert checks.space(found).state == state


@pytest.mark.parametrize(("kind", "state"), [("", "good"), ("a spinning disk", "warning")])
def test_disk(sound: CheckInputs, kind: str, state: str) -> None:
    assert checks.disk(replace(sound, disk_kind=kind)).state == state


def test_hub(sound: CheckInputs) -> None:
    assert checks.hub(replace(sound, hub_problem="no route")).state == "bad"
    assert checks.hub(replace(sound, hub_problem="no route", offline=True)).state == "good"


def test_token(sound: CheckInputs) -> None:
    assert checks.token(replace(sound, has_token=True)).found == "accepted"
    refused = replace(sound, has_token=True, token_problem="refused")  # noqa: S106 - a message
    assert checks.token(refused).state == "bad"


def test_power(sound: CheckInputs) -> None:
    assert checks.power(replace(sound, on_battery=True)).state == "warning"
    assert checks.power(replace(sound, saves_power=True)).state == "warning"


def python(tmp_path: Path, script: str) -> str:
    """Write a stand-in for a Python whose engine does *script*."""
    path = tmp_path / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("kill -ILL $$", "illegal instruction (built for another CPU)"),
        ("kill -SEGV $$", "segmentation fault"),
        ("echo 'ImportError: no libcuda.so.1' >&2; exit 1", "no libcuda.so.1"),
        ("exit 3", "exit code 3"),
    ],
)
def test_an_engine_that_ends_its_process_is_described(
    tmp_path: Path, script: str, said: str
) -> None:
    trial = health.try_engine(python(tmp_path, script))
    assert not trial.started
    assert said in trial.problem


def test_the_engine_here_starts_and_knows_qwen35() -> None:
    assert health.try_engine(sys.executable) == EngineTrial(started=True, knows_qwen35=True)


@pytest.mark.parametrize(
    ("mount", "rotational", "kind"),
    [("ext4", "0", ""), ("ext4", "1", "a spinning disk"), ("nfs4", "0", "a network disk (nfs4)")],
)
def test_the_disk_of_the_cache(tmp_path: Path, mount: str, rotational: str, kind: str) -> None:
    files = {
        "/proc/self/mountinfo": f"1 0 8:1 / / rw - ext4 x rw\n2 1 8:2 / /cache rw - {mount} y rw\n",
        "/sys/dev/block/8:2/queue/rotational": rotational,
    }
    sources = machine(tmp_path, files, environment={"HF_HOME": "/cache/hf"})
    assert health.disk_kind(sources) == kind


def test_the_power_mode(tmp_path: Path) -> None:
    profile = "/sys/firmware/acpi/platform_profile"
    assert health.saves_power(machine(tmp_path, {profile: "low-power\n"}))
    assert not health.saves_power(machine(tmp_path, {profile: "balanced\n"}))


class Hub(http.server.BaseHTTPRequestHandler):
    """A hub that knows one token."""

    def do_GET(self) -> None:
        known = self.headers.get("Authorization") in (None, "Bearer hf_good")
        self.send_response(200 if known else 401)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def doctor(capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, dict[str, str]]]:
    code = main(["doctor", "--json"])
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == 1
    return code, {check["name"]: check for check in document["checks"]}


def test_doctor_here(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, hub: str
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", hub)
    _, found = doctor(capsys)
    assert found["hub"]["state"] == found["engine"]["state"] == found["token"]["state"] == "good"


def test_doctor_with_a_token_that_is_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, hub: str
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", hub)
    monkeypatch.setenv("HF_TOKEN", "hf_bad")
    code, found = doctor(capsys)
    assert (code, found["token"]["state"]) == (5, "bad")


def test_doctor_without_a_hub(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    code, found = doctor(capsys)
    assert (code, found["hub"]["state"]) == (5, "bad")
    assert found["hub"]["mend"]


def test_doctors_page_has_a_line_a_check(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    main(["doctor"])
    lines = capsys.readouterr().out.splitlines()
    assert any(
        line.startswith("ok") and "not checked: HF_HUB_OFFLINE is set" in line for line in lines
    )


def test_mountinfo_of_this_system_can_be_read(tmp_path: Path) -> None:
    assert health.disk_kind(machine(tmp_path, {"/proc/self/mountinfo": V2})) == ""
