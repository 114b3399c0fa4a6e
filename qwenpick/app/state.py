"""The engine's state on disk, so that a conversation goes on without being read again.

llama.cpp aborts on a state that is cut short, and loads an altered or foreign one without a word.
So a file is looked at as a whole before the engine sees any of it:

    line 1   JSON, filled up to 1,024 bytes: whose state it is (`Owner`), the length and the
             sha256 of all that follows
    line 2   JSON: the pieces that were read, the state's bytes, and where the checkpoint stands
    the rest the state, as llama_state_seq_get_data gives it, and the checkpoint: that before the
             last answer, so that it can be had again

A long conversation's state is as large as its cache, so the file is mapped, not copied to memory.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
from itertools import repeat
from typing import TYPE_CHECKING, Any

from msgspec import Struct, to_builtins

from qwenpick.engine.chunks import Chunk, ImageChunk, TextChunk

if TYPE_CHECKING:
    from io import BufferedRandom
    from pathlib import Path

    from qwenpick.chat.prefix_cache import PrefixCache

_FORMAT = 2
_HEAD = 1024
_BLOCK = 1 << 20
_SAMPLES, _SAMPLE = 64, 4096


class Owner(Struct, frozen=True, kw_only=True):
    """What a state belongs to: with anything else it would be nonsense."""

    model: str
    """The sha256 of its file where that is known, else from `model_digest`."""
    engine_version: str
    kv_type: str
    projector: str | None = None
    format: int = _FORMAT


def model_digest(path: Path, header_bytes: int) -> str:
    """Tell a model's file from any other: size, time of change, header, 64 samples of its weights.

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


def save(reader: PrefixCache, path: Path, owner: Owner) -> bool:
    """Write the state where *reader* can go back to; false where there is nothing to keep.

    The file is there whole or not at all: written beside, synced, renamed.

    Raises:
        OSError: It can't be written.
    """
    reader.rewind()
    if not reader.content:
        return False
    fresh = path.with_suffix(".new")
    try:
        with fresh.open("w+b") as file:
            _write(file, reader, owner)
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
    return True


def _write(file: BufferedRandom, reader: PrefixCache, owner: Owner) -> None:
    count, checkpoint = next(reader.checkpoints.below(len(reader.content) - 1), (None, b""))
    size = reader.engine.state_bytes(whole=True)
    about = {"state": size, "checkpoint": count, "pieces": list(map(_to_json, reader.content))}
    line = json.dumps(about).encode() + b"\n"
    rest = size + len(checkpoint)
    file.write(bytes(_HEAD) + line)
    file.writelines(repeat(bytes(_BLOCK), rest // _BLOCK))  # a full disk says so here
    file.write(bytes(rest % _BLOCK))
    file.flush()
    with mmap.mmap(file.fileno(), 0) as mapped, memoryview(mapped) as view, view[_HEAD:] as body:
        middle = len(line) + size
        with body[len(line) : middle] as room:
            reader.engine.save_state(whole=True, into=room)
        body[middle:] = checkpoint
        mapped.flush()
        proof = {"length": len(body), "sha256": hashlib.sha256(body).hexdigest()}
    head = json.dumps(to_builtins(owner) | proof).encode()
    file.seek(0)
    file.write(head.ljust(_HEAD - 1) + b"\n")
    file.flush()
    os.fsync(file.fileno())


def load(reader: PrefixCache, path: Path, owner: Owner) -> str | None:
    """Give *reader* the state at *path*; says why not, None where it worked."""
    try:
        mapped = _checked(path, owner)
    except _UnfitError as error:
        return str(error)
    mapped.seek(_HEAD)
    about = json.loads(mapped.readline())
    body = memoryview(mapped)[mapped.tell() :]
    if not reader.restore(list(map(_from_json, about["pieces"])), body[: about["state"]]):
        return "the engine refuses it"
    if about["checkpoint"] is not None:
        reader.checkpoints.take(about["checkpoint"], body[about["state"] :])
    return None


class _UnfitError(Exception):
    """Why a file is not the state that is wanted."""


def _checked(path: Path, owner: Owner) -> mmap.mmap:
    """Map a file, once what follows its first line was found to be what was written.

    A private map that may be written over, as the engine's bindings ask of a buffer.
    """
    try:
        with path.open("rb") as file:
            head = json.loads(file.read(_HEAD))
            length, digest = head.pop("length"), head.pop("sha256")
            if head != to_builtins(owner):
                raise _UnfitError("it is of another model, engine or setting")
            if os.fstat(file.fileno()).st_size != _HEAD + length:
                raise _UnfitError("it is cut short")
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    except OSError:
        raise _UnfitError("it can't be read") from None
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError):
        raise _UnfitError("it is no state") from None
    if hashlib.sha256(memoryview(mapped)[_HEAD:]).hexdigest() != digest:
        raise _UnfitError("it was altered")
    return mapped


def _to_json(piece: Chunk) -> Any:  # noqa: ANN401 - JSON
    if isinstance(piece, TextChunk):
        return list(piece.tokens)
    return {"key": piece.key, "n_tokens": piece.n_tokens, "n_pos": piece.n_pos}


def _from_json(value: Any) -> Chunk:  # noqa: ANN401 - JSON
    if isinstance(value, list):
        return TextChunk(tuple(value), len(value), len(value))
    return ImageChunk(**value, reader=_gone)


def _gone(_position: int, _stop: object) -> None:
    raise AssertionError("a piece that was read is not read again")
