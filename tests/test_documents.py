"""Documents: one reader for whatever comes from outside, one writer for whatever is saved."""

from __future__ import annotations

import os
import resource
import stat
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from qwenpick import files
from qwenpick.errors import UsageError

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
