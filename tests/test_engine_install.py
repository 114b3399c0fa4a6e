"""Which engine is here, which one fits, and how it gets in: by the front door, in a real venv."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import pytest
from msgspec.structs import replace
from trees import machine

from qwenpick.cli.main import main
from qwenpick.errors import RunError
from qwenpick.hardware.build import Build, Environment, commands, fitting
from qwenpick.hardware.machine import Gpu
from qwenpick.hardware.probe import probe

MACHINES = Path(__file__).with_name("machines")
WHEELS = "https://abetlen.github.io/llama-cpp-python/whl/"
LINES = {
    "2x-rtx-3090": "cu125",
    "a10": "cu124",
    "arc-b580": "vulkan",
    "container-2gib-on-64gib": "cpu",
    "gb10": "-DGGML_CUDA=on",
    "h100": "cu130",
    "igpu-laptop-16gb": "vulkan",
    "jetson-orin-nano-8gb": "-DGGML_CUDA=on",
    "m1-8gb": "metal",
    "m4-16gb": "metal",
    "m4-max-64gb": "metal",
    "raspberry-pi-5-8gb": "cpu",
    "rtx-3060-12gb": "cu125",
    "rtx-4060-laptop-8gb": "cu125",
    "strix-halo-128gb": "vulkan",
    "vm-2-cores-24gb": "cpu",
    "vm-2-cores-4gb": "cpu",
    "wsl2-rtx-4070": "cu125",
}
ENGINE = """
def llama_backend_init(): pass
"""
PIP = """
import os, pathlib, sys
log, case = pathlib.Path(os.environ["PIP_LOG"]), os.environ["PIP_CASE"]
log.write_text(os.environ.get("CMAKE_ARGS", "") + "|" + " ".join(sys.argv[1:]))
site = pathlib.Path(__file__).parent.parent
if case == "fails":
    sys.exit(1)
(site / "llama_cpp" / "__init__.py").unlink(missing_ok=True)
(site / "llama_cpp" / "lib").mkdir(parents=True, exist_ok=True)
(site / "llama_cpp" / "lib" / "libllama.so").write_text("qwen35")
text = "raise ImportError('libcudart.so.12 is missing')" if case == "breaks" else %r
(site / "llama_cpp" / "__init__.py").write_text(text)
"""


@dataclass(frozen=True)
class Venv:
    """An environment with qwenpick, an installer of our own, and maybe a small stand-in engine."""

    folder: Path

    @property
    def site(self) -> Path:
        return next(self.folder.glob("lib/python3*/site-packages"))

    def run(self, *command: str, case: str = "works") -> subprocess.CompletedProcess[str]:
        own = {"PIP_LOG": str(self.folder / "log"), "PIP_CASE": case}
        return subprocess.run(
            [self.folder / "bin" / "python", "-m", "qwenpick", *command],
            env=os.environ | own, capture_output=True, text=True, check=False, input="",
        )  # fmt: skip

    def log(self) -> str:
        return (self.folder / "log").read_text()


@pytest.fixture
def venv(tmp_path: Path) -> Venv:
    made = Venv(tmp_path / "venv")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", made.folder], check=True)
    for name in ("pip/__init__.py", "llama_cpp/lib/libllama.so"):
        (made.site / name).parent.mkdir(parents=True, exist_ok=True)
        (made.site / name).write_text("qwen35")
    (made.site / "pip" / "__init__.py").write_text("")
    (made.site / "pip" / "__main__.py").write_text(PIP % ENGINE)
    (made.site / "llama_cpp" / "__init__.py").write_text(ENGINE + "old = True\n")
    (made.site / "llama_cpp_python-0.3.20.dist-info").mkdir()
    ours = f"{Path(__file__).parent.parent}\n{sysconfig.get_path('purelib')}\n"
    (made.site / "ours.pth").write_text(ours)
    return made


def test_installing_runs_the_command_that_was_shown(venv: Venv) -> None:
    shown = venv.run("engine", "install", "--dry-run").stdout
    assert not (venv.folder / "log").exists()
    assert f"{WHEELS}cpu" in shown
    done = venv.run("engine", "install", "--yes")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert venv.log().partition("|")[2].split()[0] == "install"
    assert all(word in shown for word in venv.log().partition("|")[2].split()[:-1])


@pytest.mark.parametrize("case", ["breaks", "fails"])
def test_the_old_engine_is_put_back_where_the_new_one_does_not_start(venv: Venv, case: str) -> None:
    done = venv.run("engine", "install", "--yes", case=case)
    assert done.returncode == 5
    assert "The previous engine was restored." in done.stderr
    assert "old = True" in (venv.site / "llama_cpp" / "__init__.py").read_text()
    assert (venv.site / "llama_cpp_python-0.3.20.dist-info").is_dir()
    assert not list(venv.site.glob(".qwenpick-engine-*"))


def test_without_a_terminal_the_question_names_yes(venv: Venv) -> None:
    done = venv.run("engine", "install")
    assert done.returncode == 2
    assert "--yes" in done.stderr
    assert not (venv.folder / "log").exists()


def test_the_engine_that_is_here_is_read_off_its_files(venv: Venv) -> None:
    (venv.site / "llama_cpp" / "lib" / "libggml-cuda.so").touch()
    (venv.site / "llama_cpp" / "lib" / "libggml-cpu-haswell.so").touch()
    (venv.site / "llama_cpp" / "lib" / "libggml-base.so.0").touch()
    found = json.loads(venv.run("engine", "--json").stdout)
    assert found["schema"] == 1
    assert found["here"] == {
        "installed": True, "version": "0.3.20", "backends": ["cpu", "cuda"], "knows_qwen35": True,
    }  # fmt: skip
    assert found["fits"]["backend"] == "cpu"


@pytest.mark.parametrize(("version", "knows"), [("0.3.16", False), ("0.3.17", True), ("1.0", True)])
def test_old_engines_do_not_know_qwen35(tmp_path: Path, version: str, knows: bool) -> None:  # noqa: FBT001 - a parameter of pytest's
    (tmp_path / "site" / "llama_cpp").mkdir(parents=True)
    (tmp_path / "site" / "llama_cpp" / "__init__.py").touch()
    (tmp_path / "site" / f"llama_cpp_python-{version}.dist-info").mkdir()
    sources = replace(machine(tmp_path, {}), search=(str(tmp_path / "site"),))
    assert probe(sources).engine.knows_qwen35 is knows


def test_every_machine_file_has_its_line() -> None:
    assert {path.stem for path in MACHINES.glob("*.json")} == set(LINES)


@pytest.mark.parametrize(("name", "wanted"), LINES.items())
def test_the_line_of_each_machine(
    name: str, wanted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["engine", "install", "--dry-run", "--machine", f"{MACHINES / name}.json"]) == 0
    line = capsys.readouterr().out
    assert (wanted if wanted.startswith("-D") else f"{WHEELS}{wanted} ") in line


def card(driver: str | None, compute: str | None) -> Gpu:
    return Gpu(vendor="nvidia", name="card", total=1, free=1, driver=driver, compute=compute)


@pytest.mark.parametrize(
    ("driver", "compute", "wheels"),
    [
        ("520.61, CUDA 11.8", "8.6", "cu118"),
        ("520.61, CUDA 11.8", "9.0", None),
        ("580.65, CUDA 13.1", "12.0", "cu130"),
        ("580.65, CUDA 13.2", "6.1", "cu125"),
        ("470.10, CUDA 11.4", "7.5", None),
        ("570.10, CUDA 12.8", "5.2", None),
        (None, None, "cu124"),
    ],
)
def test_the_wheel_for_a_driver_and_a_card(
    tmp_path: Path, driver: str | None, compute: str | None, wheels: str | None
) -> None:
    here = replace(probe(machine(tmp_path, {})), gpus=(card(driver, compute),))
    build = fitting(here)
    assert (build.backend, build.wheels) == ("cuda", wheels)
    assert bool(build.needs) == (wheels is None)


@pytest.mark.parametrize(
    ("system", "rocm", "wheels"),
    [
        ("Linux 6.8", True, "rocm72"),
        ("Linux 6.8", False, "vulkan"),
        ("Windows 10", False, "hip-radeon"),
    ],
)
def test_amd(tmp_path: Path, system: str, rocm: bool, wheels: str) -> None:  # noqa: FBT001 - a parameter of pytest's
    gpu = Gpu(vendor="amd", name="card", total=1, free=1)
    here = replace(probe(machine(tmp_path, {})), os=system, gpus=(gpu,))
    assert fitting(here, rocm=rocm).wheels == wheels


def environment(prefix: Path, *programs: str, own: bool = True, pip: bool = True) -> Environment:
    return Environment(
        python="/env/bin/python", prefix=prefix, is_own=own, has_pip=pip,
        which={name: f"/bin/{name}" for name in programs}.get,
    )  # fmt: skip


def test_each_kind_of_environment_has_its_installer(tmp_path: Path) -> None:
    pip = ("/env/bin/python", "-m", "pip", "install")
    assert environment(tmp_path).installer() == pip
    uv = environment(tmp_path, "uv", pip=False).installer()
    assert uv == ("uv", "pip", "install", "--python", "/env/bin/python")
    pipx = tmp_path / "qwenpick"
    pipx.mkdir()
    (pipx / "pipx_metadata.json").touch()
    assert environment(pipx, "pipx").installer() == ("pipx", "runpip", "qwenpick", "install")
    assert environment(pipx).installer() == pip


def test_the_systems_own_python_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "lib" / "python3.13").mkdir(parents=True)
    (tmp_path / "lib" / "python3.13" / "EXTERNALLY-MANAGED").touch()
    with pytest.raises(RunError) as refused:
        environment(tmp_path, own=False).installer()
    assert "pipx" in refused.value.hint


def test_an_environment_without_any_installer(tmp_path: Path) -> None:
    with pytest.raises(RunError) as refused:
        environment(tmp_path, pip=False).installer()
    assert "ensurepip" in refused.value.hint


def test_what_is_compiled_is_not_taken_from_a_cache(tmp_path: Path) -> None:
    build = Build(backend="cuda", reason="", cmake="-DGGML_CUDA=on", needs=("nvcc",))
    (first,) = commands(build, environment(tmp_path), (), replace=False)
    assert str(first).startswith("CMAKE_ARGS=-DGGML_CUDA=on /env/bin/python -m pip install")
    assert "--no-cache-dir" in first.words
