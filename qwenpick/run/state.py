"""The engine's state on disk, so that a conversation goes on without being read again.

llama.cpp aborts on a state that is cut short, and loads an altered or foreign one without a word.
So a file is looked at as a whole before the engine sees any of it:

    line 1   JSON: whose state it is (`Owner`), the length and the sha256 of all that follows
    line 2   JSON: the pieces that were read
    the rest the state, as llama_state_seq_get_data gives it
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from qwenpick.run.pieces import ImagePiece, Piece, TextPiece

if TYPE_CHECKING:
    from qwenpick.run.checkpoints import Reader

_FORMAT = 1
_SAMPLES, _SAMPLE = 64, 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """What a state belongs to: with anything else it would be nonsense."""

    model: str
    """From `model_digest`."""
    engine_version: str
    kv_type: str
    projector: str | None = None
    format: int = _FORMAT


def model_digest(path: Path, header_bytes: int) -> str:
    """Tell a model's file from any other: its size, its header, and 64 samples of its weights.

    A digest of the whole would take seconds for each start.
    """
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        digest.update(file.read(header_bytes))
        for index in range(_SAMPLES):
            file.seek(header_bytes + (size - header_bytes) * index // _SAMPLES)
            digest.update(file.read(_SAMPLE))
    return digest.hexdigest()


def save(reader: Reader, path: Path, owner: Owner) -> bool:
    """Write the state where *reader* can go back to; false where there is nothing to keep.

    The file is there whole or not at all: written beside, synced, renamed.
    """
    reader.settle()
    if not reader.content:
        return False
    pieces = json.dumps([_to_json(piece) for piece in reader.content]).encode() + b"\n"
    data = reader.engine.save_state(whole=True).data
    digest = hashlib.sha256(pieces)
    digest.update(data)
    head = asdict(owner) | {"length": len(pieces) + data.nbytes, "sha256": digest.hexdigest()}
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.name, delete=False) as file:
        try:
            file.write(json.dumps(head).encode() + b"\n" + pieces)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        except OSError:
            Path(file.name).unlink()
            raise
    Path(file.name).replace(path)
    return True


def load(reader: Reader, path: Path, owner: Owner) -> str | None:
    """Give *reader* the state at *path*; says why not, None where it worked."""
    try:
        with path.open("rb") as file:
            head = json.loads(file.readline(1 << 16))
            expected, digest = head.pop("length", None), head.pop("sha256", None)
            if head != asdict(owner):
                return "it is of another model, engine or setting"
            length = os.fstat(file.fileno()).st_size - file.tell()
            if length != expected:
                return "it is cut short"
            body = np.fromfile(file, np.uint8, length)
    except OSError:
        return "it can't be read"
    except (ValueError, AttributeError):
        return "it is no state"
    if hashlib.sha256(body.data).hexdigest() != digest:
        return "it was altered"
    end = int(np.argmax(body == ord("\n"))) + 1
    pieces = [_from_json(piece) for piece in json.loads(body[:end].tobytes())]
    return None if reader.adopt(pieces, body[end:]) else "the engine refuses it"


def _to_json(piece: Piece) -> Any:  # noqa: ANN401 - JSON
    if isinstance(piece, TextPiece):
        return list(piece.tokens)
    return {"key": piece.key, "n_tokens": piece.n_tokens, "n_pos": piece.n_pos}


def _from_json(value: Any) -> Piece:  # noqa: ANN401 - JSON
    if isinstance(value, list):
        return TextPiece(tuple(value))
    return ImagePiece(**value, reader=_gone)


def _gone(_position: int) -> None:
    raise AssertionError("a piece that was read is not read again")
