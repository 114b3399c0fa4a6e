"""Documents: one reader for whatever comes from outside, one writer for whatever is saved."""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import stat
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from qwenpick import files
from qwenpick.cli.main import main
from qwenpick.errors import UsageError
from qwenpick.hardware import measurements
from qwenpick.hardware.machine import Measurement

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Message(msgspec.Struct):
    """A part of a document."""

    content: str


class Letter(msgspec.Struct):
    """A document."""

    messages: list[Message]


GOOD = '{"messages": [{"content": "grüezi"}]}'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_document_is_read_in_any_encoding_that_shells_write(
    tmp_path: Path, encoding: str
) -> None:
    path = tmp_path / "letter.json"
    path.write_bytes(GOOD.encode(encoding))
    assert files.document(path, Letter, what="the letter").messages[0].content == "grüezi"
    assert files.text(path.read_bytes()) == GOOD


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b'{"messages": [{"content": 5}]}', "Expected `str`, got `int` at `$.messages[0].content`"),
        (b'{"messages": null}', "Expected `array`, got `null` at `$.messages`"),
        (b"{}", "missing required field `messages`"),
        (b'{"messages": [}', "(byte 14)"),
        (b"", "truncated"),
        (b"\x89PNG\r\n", "malformed"),
        (b'{"messages": [{"content": "\xe9"}]}', "not UTF-8"),
        (b"\xff\xfe{", "not UTF-8"),
        (b'{"more": ' + b"[" * 100_000, "nested too deeply"),
        (b'{"more": ' + b'{"a":' * 100_000, "nested too deeply"),
    ],
)
def test_a_document_of_another_form_is_refused_with_file_place_and_reason(
    tmp_path: Path, data: bytes, problem: str
) -> None:
    path = tmp_path / "letter.json"
    path.write_bytes(data)
    with pytest.raises(UsageError) as caught:
        files.document(path, Letter, what="the letter", hint="Write another.")
    assert caught.value.message.startswith(f"Cannot use the letter {path}: ")
    assert problem in caught.value.message
    assert caught.value.hint == "Write another."


@pytest.mark.parametrize("text", ["{", "[" * 100_000, '"\ud800"', "NaN"])
def test_text_that_is_no_document_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="Cannot use the answer: "):
        files.decode(text, Any, what="the answer")


def test_only_a_regular_file_of_bounded_size_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").write_bytes(bytes(11))
    (tmp_path / "link").symlink_to(tmp_path / "large")
    for name, problem in {
        "pipe": "not a regular file",
        ".": "Is a directory",
        "/dev/zero": "not a regular file",
        "large": "more than 10 bytes",
        "none": "No such file",
        "nul\0": "not a file name",
        "n" * 5000: "File name too long",
    }.items():
        with pytest.raises(UsageError, match=problem) as caught:
            files.read(tmp_path / name, limit=10)
        assert len(caught.value.message) < 400
    assert files.read(tmp_path / "link", limit=11) == bytes(11)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_what_is_saved_is_for_its_owner_alone(tmp_path: Path, umask: int) -> None:
    kept = files.home() / "sessions" / "one" / "messages.json"
    before = os.umask(umask)
    try:
        files.write(kept, b"{}")
    finally:
        os.umask(before)
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    for folder in kept.relative_to(tmp_path).parents[:-1]:
        assert stat.S_IMODE((tmp_path / folder).stat().st_mode) == 0o700, folder


def test_folders_that_somebody_else_made_are_narrowed() -> None:
    kept = files.home() / "sessions" / "state"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"old")
    for path, mode in ((kept, 0o644), (kept.parent, 0o755), (files.home(), 0o755)):
        path.chmod(mode)
    files.write(kept, b"new")
    modes = [stat.S_IMODE(one.stat().st_mode) for one in (kept, kept.parent, files.home())]
    assert modes == [0o600, 0o700, 0o700]


def test_a_link_in_the_home_leads_nothing_out_of_it(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(b"untouched")
    files.folder(files.home())
    (files.home() / "file").symlink_to(outside / "file")
    (files.home() / "sessions").symlink_to(outside)
    files.write(files.home() / "file", b"ours")
    with pytest.raises(OSError, match="symbolic link"):
        files.write(files.home() / "sessions" / "file", b"ours")
    assert (outside / "file").read_bytes() == b"untouched"
    assert [one.name for one in outside.iterdir()] == ["file"]


@contextmanager
def _largest_file(size: int) -> Iterator[None]:
    """Let the system refuse files of more than *size* bytes, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_write_that_fails_leaves_what_was_there_and_names_the_file() -> None:
    kept = files.home() / "kept"
    files.write(kept, b"old")
    with pytest.raises(OSError, match="File too large") as caught, _largest_file(3):
        files.write(kept, b"longer")
    assert caught.value.filename == str(kept)
    assert [one.name for one in files.home().iterdir()] == ["kept"]
    assert kept.read_bytes() == b"old"


def test_one_at_a_time_holds_a_lock() -> None:
    counter = files.home() / "counter"
    files.write(counter, b"0")
    waited = threading.Event()

    def add() -> None:
        for _ in range(20):
            with files.locked(counter, waiting=waited.set):
                files.write(counter, b"%d" % (int(files.read(counter, limit=9)) + 1))

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert files.read(counter, limit=9) == b"80"
    assert waited.is_set()


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("/dev/null", "not a folder"),
        ("~nosuchuser/x", "no such user"),
        ("x" * 5000, "File name too long"),
    ],
)
def test_a_home_that_cannot_be_one_is_named(
    monkeypatch: pytest.MonkeyPatch, value: str, problem: str
) -> None:
    monkeypatch.setenv("QWENPICK_HOME", value)
    with pytest.raises(UsageError, match=f"QWENPICK_HOME=.*{problem}"):
        files.home()


DEEP = "[" * 100_000
MACHINE = """{"os": "Linux", "arch": "x86_64", "cpu": {"name": null, "physical_cores": 4,
 "usable_threads": 4}, "memory": {"total": 16000000000, "available": 12000000000},
 "disk": {"path": "/", "free": null}, "engine": {"installed": false}}"""


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_machine_file_may_come_from_powershell(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], encoding: str
) -> None:
    path = tmp_path / "machine.json"
    path.write_bytes(MACHINE.encode(encoding))
    assert main(["recommend", "--json", "--machine", str(path)]) == 0
    found = json.loads(capsys.readouterr().out)["machine"]
    assert found["memory"]["available"] == 12_000_000_000


@pytest.mark.parametrize(
    ("document", "place"),
    [
        (MACHINE.replace("12000000000", str(10**30)), "$.memory.available"),
        (MACHINE.replace("12000000000", "1e400"), "$.memory.available"),
        (MACHINE.replace("4}", "0}"), "$.cpu.usable_threads"),
        (MACHINE.replace("null", "5"), "$.cpu.name"),
        (MACHINE[:-1] + ', "gpus": {}}', "$.gpus"),
        (MACHINE[:-1] + f', "notes": {DEEP}}}', "machine.json"),
        (DEEP, "machine.json"),
        ("[]", "machine.json"),
    ],
)
def test_a_machine_that_none_can_be_is_wrong_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], document: str, place: str
) -> None:
    path = tmp_path / "machine.json"
    path.write_text(document, encoding="utf-8")
    assert main(["recommend", "--machine", str(path)]) == 2
    output = capsys.readouterr()
    assert not output.out
    assert place in output.err
    assert output.err.endswith("probe --json > machine.json\n")
    assert output.err.count("\n") == 2


@pytest.mark.parametrize("name", ["/dev/zero", ".", "pipe", "n" * 300])
def test_what_is_no_file_is_no_machine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert main(["recommend", "--machine", str(tmp_path / name)]) == 2
    assert "Cannot read" in capsys.readouterr().err


@pytest.mark.parametrize("text", [DEEP, "{", "[5]", '[{"model_file": 5}]', "{}", "\0"])
@pytest.mark.parametrize("name", ["measurements.json", "catalog.json"])
def test_a_broken_file_of_our_own_counts_as_none(
    capsys: pytest.CaptureFixture[str], name: str, text: str
) -> None:
    assert main(["recommend", "--json", "--ram", "8G"]) == 0
    without = json.loads(capsys.readouterr().out)["pick"]
    files.write(files.home() / name, text.encode())
    assert main(["recommend", "--json", "--ram", "8G"]) == 0
    assert json.loads(capsys.readouterr().out)["pick"] == without


def _measurement(name: str, rate: float = 5.0) -> Measurement:
    return Measurement(
        model_file=name, size=None, quant=None, weights_bytes=1, threads=1, repack=False,
        gpu_layers=0, prompt_rate=None, decode_rate=rate, memory_bandwidth_bytes_per_second=None,
        engine_version=None, taken="2026-11-27",
    )  # fmt: skip


def _measure(first: int) -> None:
    for number in range(first, first + 10):
        measurements.keep(_measurement(f"{number}.gguf"))


def test_what_two_processes_measure_is_kept_of_both() -> None:
    fork = multiprocessing.get_context("fork")
    children = [fork.Process(target=_measure, args=(first,)) for first in (0, 10)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert {one.model_file for one in measurements.load()} == {f"{n}.gguf" for n in range(20)}


def test_a_broken_measurement_does_not_stop_the_others() -> None:
    measurements.keep(_measurement("good.gguf"))
    path = files.home() / "measurements.json"
    path.write_bytes(path.read_bytes().replace(b"[", b'[{"model_file": 5},', 1))
    measurements.keep(_measurement("good.gguf", rate=9.0), weight=0.5)
    assert [(one.model_file, one.decode_rate) for one in measurements.load()] == [("good.gguf", 7)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("think = 5", "[chat] think: '5' is not true or false"),
        ("seed = inf", "[chat] seed: --seed cannot be 'inf'"),
        ("seed = 1.5", "[chat] seed"),
        ("temperature = nan", "[chat] temperature"),
        ("top-p = 1.5", "[chat] top-p"),
        ("stop = [5, {}]", "[chat] stop: '{}' is not a text"),
        ("image = true", "[chat] image: 'True' is not a text"),
        ("threads = 0", "0 is not in the range"),
        ("threads = 2.5", "[chat] threads: '2.5' is not a whole number"),
        ('threads = "many"', "[chat] threads"),
        ("max-tokens = 1970-01-01", "[chat] max-tokens"),
        ("[chat.stop]", "[chat] stop: '{}' is not a text"),
        ("lunch = 1", "[chat] lunch: no such option"),
        ('context = "far"', "[chat] context: 'far' is not a possible context"),
        ("ubatch = 77", "[chat] ubatch: --ubatch 77"),
        ('mode = "poetry"', "[chat] mode: "),
        ("stop = " + "[" * 5000, "nested too deeply"),
        ("a." * 20_000 + "a = 1", "nested too deeply"),
        ("[" + "a." * 20_000 + "a]", "nested too deeply"),
        ("seed = " + "9" * 5000, "config.toml"),
        ("threads = ", "config.toml"),
        ('system = "' + "x" * 300_000 + '"', "more than 262,144 bytes"),
    ],
)
def test_a_wrong_value_in_the_config_is_named_with_file_table_and_key(
    capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    path = files.home() / "config.toml"
    files.write(path, f"[chat]\n{text}\n".encode())
    assert main(["chat", "-p", "hello"]) == 2
    first = capsys.readouterr().err.splitlines()[0]
    assert str(path) in first
    assert said in first


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_config_file_may_have_a_byte_order_mark(
    capsys: pytest.CaptureFixture[str], encoding: str
) -> None:
    text = '[recommend]\nram = "6G" # as a.b.c says\nfor = "server"\n'
    files.write(files.home() / "config.toml", text.encode(encoding))
    assert main(["recommend", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["wish"]["use"] == "server"


@pytest.mark.parametrize(
    "words",
    [
        ["recommend", "--context", "9" * 24],
        ["recommend", "--context", "9" * 5000],
        ["recommend", "--ram", "9" * 20 + "G"],
        ["recommend", "--ram", "9" * 5000 + "G"],
        ["recommend", "--vram", "0.1e9G"],
        ["recommend", "--min-speed", "nan"],
        *(
            ["chat", "-p", "hello", option, value]
            for option in ("--temperature", "--top-p", "--min-p", "--presence-penalty")
            for value in ("nan", "inf", "-inf", "3", "x")
        ),
        ["chat", "-p", "hello", "--top-k", "1e3"],
        ["chat", "-p", "hello", "--top-k", "9" * 30],
        ["chat", "-p", "hello", "--seed", str(2**32 - 1)],
        ["chat", "-p", "hello", "--seed", "9" * 5000],
    ],
)
def test_a_number_that_none_can_be_is_wrong_usage(
    capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert main(words) == 2
    assert len(capsys.readouterr().err) < 300


def test_what_the_system_refuses_ends_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / f"{'n' * 300}.svg"
    assert main(["recommend", "--ram", "8G", "--plot", str(place)]) == 5
    assert capsys.readouterr().err.endswith("File name too long.\n")
