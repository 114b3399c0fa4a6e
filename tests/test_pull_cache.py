"""The hub cache as it may be: odd things in it, links that lead elsewhere, and what rm leaves."""

from __future__ import annotations

import hashlib
import os
import time
from typing import TYPE_CHECKING

import pytest

from qwenpick import files, hub_env
from qwenpick.catalog.table import load
from qwenpick.errors import UsageError
from qwenpick.pull import cache, digests, fetch, inventory, local
from qwenpick.pull.plan import RemoteFile
from qwenpick.pull.reference import HubFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

COMMIT = "c" * 40
DATA = b"GGUF" + bytes(60)


def install(repo: str, name: str = "x-Q4_K_M.gguf", data: bytes = DATA) -> Path:
    """Put a file into the hub cache as hub tools do."""
    etag = hashlib.sha256(data).hexdigest()
    blob = cache.blob(repo, etag)
    blob.parent.mkdir(parents=True, exist_ok=True)
    blob.write_bytes(data)
    cache.write_ref(repo, "main", COMMIT)
    return cache.link_snapshot(repo, commit=COMMIT, name=name, etag=etag)


def remove(repo: str) -> inventory.Removal:
    plan = inventory.removal(HubFile(repo=repo, quant="Q4_K_M"), load())
    inventory.remove(plan)
    return plan


def test_a_removal_takes_all_of_a_file_and_its_folders() -> None:
    path = install("o/a")
    plan = remove("o/a")
    assert plan.bytes == len(DATA) + len(COMMIT)  # and the branch
    assert not os.path.lexists(path)
    assert not cache.folder("o/a").exists()


def test_a_link_to_elsewhere_is_removed_and_its_target_stays(tmp_path: Path) -> None:
    outside = tmp_path / "outside" / "x-Q4_K_M.gguf"
    outside.parent.mkdir()
    outside.write_bytes(DATA)
    place = cache.snapshot("o/a", COMMIT, "x-Q4_K_M.gguf")
    place.parent.mkdir(parents=True)
    place.symlink_to(outside)
    blob = cache.blob("o/b", "b" * 64)
    blob.parent.mkdir(parents=True)
    blob.symlink_to(outside)
    cache.link_snapshot("o/b", commit=COMMIT, name="x-Q4_K_M.gguf", etag="b" * 64)
    for repo in ("o/a", "o/b"):
        assert remove(repo).bytes == 0
        assert not os.path.lexists(cache.snapshot(repo, COMMIT, "x-Q4_K_M.gguf"))
    assert outside.read_bytes() == DATA


def test_a_folder_that_leads_elsewhere_is_left_alone(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x-Q4_K_M.gguf").write_bytes(DATA)
    snapshots = cache.folder("o/a") / "snapshots"
    snapshots.mkdir(parents=True)
    (snapshots / COMMIT).symlink_to(outside)
    with pytest.raises(UsageError, match="outside of"):
        remove("o/a")
    assert (outside / "x-Q4_K_M.gguf").exists()


def test_bytes_that_another_repository_links_to_stay() -> None:
    path = install("o/a")
    other = cache.snapshot("o/b", COMMIT, "x-Q4_K_M.gguf")
    other.parent.mkdir(parents=True)
    other.symlink_to(path.resolve())
    remove("o/a")
    assert not os.path.lexists(path)
    assert other.read_bytes() == DATA


def test_shared_bytes_are_freed_with_their_last_link() -> None:
    store = hub_env.cache_root() / "blobs"
    payload = store / "ab" / ("ab" + "0" * 62)
    payload.parent.mkdir(parents=True)
    payload.write_bytes(DATA)
    (store / ".huggingface-shared-blobs").write_text("1\n", encoding="utf-8")
    manifest = []
    for repo in ("o/a", "o/b"):
        blob = cache.blob(repo, "b" * 64)
        blob.parent.mkdir(parents=True)
        blob.symlink_to(os.path.relpath(payload, blob.parent))
        cache.link_snapshot(repo, commit=COMMIT, name="x-Q4_K_M.gguf", etag="b" * 64)
        manifest.append(os.path.relpath(blob, hub_env.cache_root()))
    payload.with_name(payload.name + ".refs").write_text(
        "".join(f"{line}\n" for line in manifest), encoding="utf-8"
    )
    remove("o/a")
    assert cache.snapshot("o/b", COMMIT, "x-Q4_K_M.gguf").read_bytes() == DATA
    remove("o/b")
    assert not payload.exists()


def test_odd_things_in_the_cache_are_passed_over() -> None:
    good = install("o/a")
    odd = cache.folder("o/b")
    (odd / "snapshots" / COMMIT).mkdir(parents=True)
    (odd / "blobs").mkdir()
    (odd / "refs").mkdir()
    os.mkfifo(odd / "snapshots" / COMMIT / "pipe-Q4_K_M.gguf")
    (odd / "snapshots" / COMMIT / "zero-Q4_K_M.gguf").symlink_to("/dev/zero")
    (odd / "snapshots" / COMMIT / "gone-Q4_K_M.gguf").symlink_to("nowhere")
    (odd / "snapshots" / COMMIT / "loop").symlink_to(".")
    os.mkfifo(odd / "blobs" / "pipe.incomplete")
    (odd / "blobs" / "gone.incomplete").symlink_to("nowhere")
    (odd / "refs" / "main").write_bytes(b"\xff" * 5000)
    assert [file.path for file in inventory.installed(load())] == [good]
    assert inventory.leftovers() == ()
    assert cache.commit_of("o/b", "main") == "main"
    assert local.find(HubFile(repo="o/b", quant="Q4_K_M"), load()) is None


def test_a_branch_and_a_partial_file_that_are_links_do_not_write_through(tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("mine", encoding="utf-8")
    ref = cache.folder("o/a") / "refs" / "main"
    ref.parent.mkdir(parents=True)
    ref.symlink_to(target)
    cache.write_ref("o/a", "main", COMMIT)
    assert target.read_text(encoding="utf-8") == "mine"
    assert cache.commit_of("o/a", "main") == COMMIT


def test_a_split_model_is_listed_and_removed_as_one() -> None:
    parts = [install("o/a", f"x-Q4_K_M-0000{n}-of-00002.gguf", DATA + bytes([n])) for n in (1, 2)]
    (file,) = inventory.installed(load())
    assert file.path == parts[0]
    assert file.bytes == 2 * len(DATA) + 2
    found = local.find(HubFile(repo="o/a", quant="Q4_K_M"), load())
    assert found
    assert found.path == parts[0]
    remove("o/a")
    assert not any(map(os.path.lexists, parts))


def test_ten_thousand_files_are_listed_in_seconds() -> None:
    place = cache.folder("o/a") / "snapshots" / COMMIT
    place.mkdir(parents=True)
    for number in range(10_000):
        (place / f"x{number}-Q4_K_M.gguf").touch()
    start = time.monotonic()
    assert len(list(cache.installed_files())) == 10_000
    assert time.monotonic() - start < 20


def test_folders_of_other_tools_that_are_links_are_walked_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "inner").mkdir(parents=True)
    (elsewhere / "inner" / "x.GGUF").write_bytes(DATA)
    (elsewhere / "inner" / "up").symlink_to(elsewhere)
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "linked").symlink_to(elsewhere)
    monkeypatch.setenv("QWENPICK_MODELS", str(folder))
    assert [path for source, path in local.elsewhere() if source == "folder"] == [
        folder / "linked" / "inner" / "x.GGUF"
    ]


class Seen:
    """A `plan.Progress` that remembers."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.last = (0, 0)

    def status(self, line: str) -> None:
        self.lines.append(line)

    def progress(self, name: str, done: int, total: int) -> None:
        assert name
        self.last = (done, total)


def test_hashing_a_large_file_before_its_first_use_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digests, "_QUICK", 10)
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "x.gguf").write_bytes(DATA)
    monkeypatch.setenv("QWENPICK_MODELS", str(folder))
    sha256 = hashlib.sha256(DATA).hexdigest()
    wanted = RemoteFile(name="x.gguf", commit="main", etag=sha256, bytes=len(DATA), sha256=sha256)
    first, second = Seen(), Seen()
    assert local.copy_of("o/a", wanted, first)
    assert local.copy_of("o/a", wanted, second)
    assert len(first.lines) == 1
    assert first.last == (len(DATA), len(DATA))
    assert second.lines == []


@pytest.mark.parametrize("broken", [b"[" * 99_999, b'{"a": {"bytes": "x"}}', b"\xff", b"null"])
def test_broken_checksums_count_as_none(tmp_path: Path, broken: bytes) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(DATA)
    files.write(files.home() / "proofs.json", broken)
    assert digests.cached_sha256(path) is None
    assert digests.sha256(path) == hashlib.sha256(DATA).hexdigest()
    assert digests.cached_sha256(path) == hashlib.sha256(DATA).hexdigest()


def test_a_thousand_files_are_verified_in_seconds() -> None:
    for number in range(1_000):
        install("o/a", f"x{number}-Q4_K_M.gguf", DATA + number.to_bytes(2, "big"))
    start = time.monotonic()
    checks = inventory.check(inventory.installed(load()), load(), Seen())
    assert {check.state for check in checks} == {"good"}
    assert digests.cached_sha256(checks[0].path) == checks[0].sha256
    assert time.monotonic() - start < 20


def test_a_file_that_cannot_be_read_does_not_stop_the_others() -> None:
    gone, good = install("o/a"), install("o/b", data=DATA + b"b")
    files_here = inventory.installed(load())
    gone.resolve().unlink()
    checks = inventory.check(files_here, load(), Seen())
    assert {check.path: check.state for check in checks} == {gone: "unreadable", good: "good"}


class Bytes:
    """A `plan.Source` that has one file."""

    name = "hf"

    def names(self, repo: str, revision: str) -> tuple[str, ...]:
        raise NotImplementedError(repo, revision)

    def file(self, repo: str, revision: str, name: str) -> RemoteFile:
        raise NotImplementedError(repo, revision, name)

    def open(self, repo: str, file: RemoteFile, offset: int) -> Iterator[bytes]:
        assert (repo, file.bytes) == ("o/a", len(DATA))
        yield DATA[offset:]


@pytest.mark.parametrize("odd", ["pipe", "zero", "nowhere", "file"])
@pytest.mark.parametrize("place", [cache.blob, cache.partial])
def test_odd_things_in_the_place_of_bytes_do_not_stop_a_download(
    place: Callable[[str, str], Path], odd: str, tmp_path: Path
) -> None:
    sha256 = hashlib.sha256(DATA).hexdigest()
    remote = RemoteFile(name="x.gguf", commit=COMMIT, etag=sha256, bytes=len(DATA), sha256=sha256)
    precious = tmp_path / "precious"
    precious.write_bytes(b"mine")
    path = place("o/a", sha256)
    path.parent.mkdir(parents=True)
    if odd == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to({"zero": "/dev/zero", "file": precious}.get(odd, "nowhere"))
    assert fetch.fetch("o/a", remote, Bytes(), Seen()) == len(DATA)
    assert cache.blob("o/a", sha256).read_bytes() == DATA
    assert precious.read_bytes() == b"mine"
