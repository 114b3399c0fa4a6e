"""The engine's state on disk, so that a conversation goes on without being read again.

llama.cpp aborts on a state that is cut short, and loads an altered or foreign one without a word.
So the whole file is checked before the engine sees any of it:

    line 1   JSON, filled up to 1,024 bytes: whose state it is (`Owner`), the length and the
             sha256 of all that follows
    line 2   JSON: the chunks that were read, the state's bytes, and where the checkpoint stands
    the rest the state, as llama_state_seq_get_data gives it, and the checkpoint: that before the
             last answer, so that it can be had again

A long conversation's state is as large as its cache, so the file is mapped, not copied to memory.
A file is only ever replaced, never written to again, so that what is mapped stays whole.
"""

from __future__ import annotations

import hashlib
import mmap
import os
from itertools import repeat
from typing import IO, TYPE_CHECKING

import msgspec
from msgspec import Struct

from qwenpick import files
from qwenpick.engine.bindings import version
from qwenpick.engine.chunks import Chunk, ImageChunk, TextChunk
from qwenpick.errors import UsageError
from qwenpick.pull import digests

if TYPE_CHECKING:
    from pathlib import Path

    from qwenpick.app.loader import LoadedModel
    from qwenpick.chat.prefix_cache import PrefixCache

_FORMAT = 2
_HEAD = 1024
_BLOCK = 1 << 20
_SAMPLES, _SAMPLE = 64, 4096


class Owner(Struct, frozen=True, kw_only=True):
    """What a state belongs to: with anything else it would be nonsense."""

    model: str
    """The sha256 of its file where that is known, else a digest of samples."""
    engine_version: str
    kv_type: str
    projector: str | None = None
    format: int = _FORMAT


class _Head(Owner, frozen=True, kw_only=True, forbid_unknown_fields=True):
    length: int
    sha256: str


class _Image(Struct, frozen=True, kw_only=True):
    key: str
    n_tokens: int
    n_pos: int


class _Content(Struct, frozen=True, kw_only=True):
    state: int
    checkpoint: int | None
    pieces: list[tuple[int, ...] | _Image]


def owner_of(loaded: LoadedModel, *, sees: bool) -> Owner:
    """Say what a state of *loaded* belongs to; its projector counts where it *sees* an image."""
    prepared = loaded.prepared
    path, eyes = prepared.local.path, loaded.projector_file if sees else None
    return Owner(
        model=digests.cached_sha256(path) or _digest(path, prepared.file.header.data_offset),
        engine_version=version(),
        kv_type=prepared.settings.kv_type,
        projector=_digest(eyes, 0) if eyes else None,
    )


def _digest(path: Path, header_bytes: int) -> str:
    """Tell a file from any other: size, time of change, header, 64 samples of its weights.

    A digest of the whole would take seconds for each start.
    """
    facts = path.stat()
    digest = hashlib.sha256(f"{facts.st_size} {facts.st_mtime_ns}".encode())
    with path.open("rb") as file:
        digest.update(file.read(header_bytes))
        for index in range(_SAMPLES):
            file.seek(header_bytes + (facts.st_size - header_bytes) * index // _SAMPLES)
            digest.update(file.read(_SAMPLE))
    return digest.hexdigest()


def save(cache: PrefixCache, path: Path, owner: Owner) -> bool:
    """Write the state where *cache* can go back to; false where it is empty.

    Raises:
        OSError: It cannot be written; what was at *path* is still there.
    """
    cache.rewind()
    if not cache.content:
        return False
    with files.writer(path) as file:
        _write(file, cache, owner)
    return True


def _write(file: IO[bytes], cache: PrefixCache, owner: Owner) -> None:
    count, checkpoint = next(cache.checkpoints.below(len(cache.content) - 1), (None, b""))
    size = cache.engine.state_bytes(whole=True)
    content = _Content(state=size, checkpoint=count, pieces=list(map(_plain, cache.content)))
    line = msgspec.json.encode(content) + b"\n"
    rest = size + len(checkpoint)
    file.write(bytes(_HEAD) + line)
    file.writelines(repeat(bytes(_BLOCK), rest // _BLOCK))  # a full disk says so here
    file.write(bytes(rest % _BLOCK))
    file.flush()
    with mmap.mmap(file.fileno(), 0) as mapped, memoryview(mapped) as view, view[_HEAD:] as body:
        middle = len(line) + size
        with body[len(line) : middle] as room:
            cache.engine.save_state(whole=True, into=room)
        body[middle:] = checkpoint
        mapped.flush()
        digest = hashlib.sha256(body).hexdigest()
        head = _Head(**msgspec.structs.asdict(owner), length=len(body), sha256=digest)
    file.seek(0)
    file.write(msgspec.json.encode(head).ljust(_HEAD - 1) + b"\n")


def load(cache: PrefixCache, path: Path, owner: Owner) -> str | None:
    """Give *cache* the state at *path*; returns why it cannot, None where it did."""
    try:
        mapped = _checked(path, owner)
        mapped.seek(_HEAD)
        content = files.decode(mapped.readline(), _Content, what="it")
    except UsageError as error:
        return error.message
    body = memoryview(mapped)[mapped.tell() :]
    chunks = list(map(_chunk, content.pieces))
    if not cache.restore(chunks, body[: content.state]):
        return "the engine refuses it"
    if content.checkpoint is not None:
        cache.checkpoints.take(content.checkpoint, body[content.state :])
    return None


def _checked(path: Path, owner: Owner) -> mmap.mmap:
    """Map a file whose content has the length and the digest that its first line names.

    A private map that may be written over, as the engine's bindings ask of a buffer.

    Raises:
        UsageError: It is something else.
    """
    try:
        with path.open("rb") as file:
            head = files.decode(file.read(_HEAD), _Head, what="it")
            if any(getattr(head, name) != getattr(owner, name) for name in Owner.__struct_fields__):
                raise UsageError("it is of another model, engine or setting")
            if os.fstat(file.fileno()).st_size != _HEAD + head.length:
                raise UsageError("it is cut short")
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    except OSError as error:
        raise UsageError(f"it cannot be read: {error.strerror}") from None
    if hashlib.sha256(memoryview(mapped)[_HEAD:]).hexdigest() != head.sha256:
        raise UsageError("it was altered")
    return mapped


def _plain(chunk: Chunk) -> tuple[int, ...] | _Image:
    if isinstance(chunk, TextChunk):
        return chunk.tokens
    return _Image(key=chunk.key, n_tokens=chunk.n_tokens, n_pos=chunk.n_pos)


def _chunk(plain: tuple[int, ...] | _Image) -> Chunk:
    if isinstance(plain, tuple):
        return TextChunk(plain, len(plain), len(plain))
    return ImageChunk(**msgspec.structs.asdict(plain), reader=_gone)


def _gone(_position: int, _stop: object) -> None:
    raise AssertionError("a chunk that was read is not read again")
