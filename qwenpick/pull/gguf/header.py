"""Reads the header of a GGUF file, and believes nothing that it says.

llama.cpp ends the whole process on some broken files, so every count, length and offset is
checked here first, against the file's real size. Weights are never read, and long arrays (the
vocabulary) are walked over without making Python objects of them.

What the header *means* (which shape, which quantisation, whether the engine can live with it)
is `pull/model_file.py`.
"""

from __future__ import annotations

import mmap
import struct
from typing import TYPE_CHECKING

from qwenpick.errors import UsageError
from qwenpick.pull.gguf.format import (
    ARRAY,
    DEFAULT_ALIGNMENT,
    ENGINE_ALIGNMENT,
    MAGIC,
    MAX_DIMENSIONS,
    MAX_LENGTH,
    MAX_NAME,
    SCALARS,
    SHORT_ARRAY,
    STRING,
    TENSOR_TYPES,
    VERSIONS,
    Header,
    LongArray,
    Scalar,
    Tensor,
    Value,
    broken,
)

if TYPE_CHECKING:
    from pathlib import Path


def read_header(path: Path) -> Header:
    """Read and check the header of the GGUF file at *path*.

    Raises:
        UsageError: There is no such file, or it is of another kind.
        RunError: It is a GGUF file, and broken.
    """
    if not path.is_file():
        what = "is a directory" if path.is_dir() else "does not exist"
        raise UsageError(
            f"{path} {what}.", hint="A model is a size (qwenpick chat 4b) or a .gguf file."
        )
    with path.open("rb") as file:
        _check_magic(path, file.read(len(MAGIC)))
        try:
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as buffer:
                return _Reader(path, buffer).header()
        except struct.error:
            raise broken(path, "it ends in the middle of its header") from None
        except UnicodeDecodeError:
            raise broken(path, "a name in its header is not text") from None


def read_strings(header: Header, array: LongArray) -> list[bytes]:
    """Read the strings of a long array, such as the vocabulary."""
    with header.path.open("rb") as file:
        file.seek(array.start)
        data = file.read(array.end - array.start)
    length_of = struct.Struct("<Q").unpack_from
    strings, at = [], 0
    for _ in range(array.count):
        end = at + 8 + length_of(data, at)[0]
        strings.append(data[at + 8 : end])
        at = end
    return strings


def _check_magic(path: Path, start: bytes) -> None:
    if start == MAGIC:
        return
    hint = "A model is a size (qwenpick chat 4b) or a .gguf file."
    if path.suffix.lower() == ".gguf":
        raise broken(path, f"it starts with {_show(start)}, not GGUF" if start else "it is empty")
    raise UsageError(f"{path.name} is not a GGUF model (it starts with {_show(start)}).", hint=hint)


def _show(start: bytes) -> str:
    return f'"{start.decode("ascii")}"' if start.isascii() and start else repr(start)[1:]


class _Reader:
    """Walks once through a header; `at` is where it stands."""

    def __init__(self, path: Path, buffer: mmap.mmap) -> None:
        self.path = path
        self.buffer = buffer
        self.size = len(buffer)
        self.at = len(MAGIC)

    def header(self) -> Header:
        version = self.number("I")
        if version not in VERSIONS:
            raise broken(self.path, f"its GGUF version is {version}, not 2 or 3")
        tensors, keys = self.number("Q"), self.number("Q")
        metadata = self.metadata(keys)
        alignment = metadata.get("general.alignment", DEFAULT_ALIGNMENT)
        if not isinstance(alignment, int) or alignment < 1 or alignment & (alignment - 1):
            raise broken(self.path, f"its alignment is {alignment}")
        infos = self.infos(tensors)
        data_offset = -(-self.at // alignment) * alignment
        return Header(
            path=self.path,
            version=version,
            metadata=metadata,
            tensors=self.placed(infos, data_offset, alignment),
            data_offset=data_offset,
            file_bytes=self.size,
        )

    def number(self, code: str) -> int:
        value: int = struct.unpack_from("<" + code, self.buffer, self.at)[0]
        self.at += struct.calcsize("<" + code)
        return value

    def raw(self) -> bytes:
        length = self.number("Q")
        start, self.at = self.at, self.at + length
        if length > MAX_LENGTH or self.at > self.size:
            raise broken(self.path, f"a text in its header would take {length:,} bytes")
        return self.buffer[start : self.at]

    def name(self) -> str:
        name = self.raw().decode("utf-8")
        if not name or "\0" in name:
            raise broken(self.path, "a name in its header is empty or cut")
        return name

    def metadata(self, keys: int) -> dict[str, Value]:
        found: dict[str, Value] = {}
        for _ in range(keys):
            key = self.name()
            if key in found:
                raise broken(self.path, f"{key} stands in it twice")
            found[key] = self.value(key, self.number("I"))
        return found

    def value(self, key: str, kind: int) -> Value:
        if kind == ARRAY:
            return self.array(key, self.number("I"), self.number("Q"))
        return self.scalar(key, kind)

    def scalar(self, key: str, kind: int) -> Scalar:
        if kind == STRING:
            return self.raw().decode("utf-8", "replace")
        if kind not in SCALARS:
            raise broken(self.path, f"{key} is of the unknown type {kind}")
        return self.number(SCALARS[kind])

    def array(self, key: str, kind: int, count: int) -> Value:
        if kind != STRING and kind not in SCALARS:
            raise broken(self.path, f"{key} is a list of the unknown type {kind}")
        if count > MAX_LENGTH:
            raise broken(self.path, f"{key} is a list of {count:,} values")
        if count <= SHORT_ARRAY:
            return tuple(self.scalar(key, kind) for _ in range(count))
        start = self.at
        if kind == STRING:
            self.skip_strings(count)
        else:
            self.at += count * struct.calcsize("<" + SCALARS[kind])
        if self.at > self.size:
            raise broken(self.path, f"{key} goes on after the end of the file")
        return LongArray(strings=kind == STRING, count=count, start=start, end=self.at)

    def skip_strings(self, count: int) -> None:
        length_of, buffer, at = struct.Struct("<Q").unpack_from, self.buffer, self.at
        for _ in range(count):
            at += 8 + length_of(buffer, at)[0]
        self.at = at

    def infos(self, count: int) -> list[tuple[str, tuple[int, ...], int, int]]:
        found, names = [], set()
        for _ in range(count):
            name = self.name()
            if name in names or len(name.encode()) > MAX_NAME:
                raise broken(
                    self.path, f"the tensor {name[:MAX_NAME]} occurs twice or has too long a name"
                )
            names.add(name)
            dimensions = self.number("I")
            if dimensions > MAX_DIMENSIONS:
                raise broken(self.path, f"{name} has {dimensions:,} dimensions")
            shape = tuple(self.number("Q") for _ in range(dimensions))
            found.append((name, shape, self.number("I"), self.number("Q")))
        return found

    def placed(
        self, infos: list[tuple[str, tuple[int, ...], int, int]], data_offset: int, alignment: int
    ) -> tuple[Tensor, ...]:
        """Check that tensors follow each other as the engine demands, all inside the file."""
        tensors, expected = [], 0
        for name, shape, number, offset in infos:
            if number not in TENSOR_TYPES:
                raise broken(self.path, f"{name} is of the unknown type {number}")
            type_name, block, block_bytes = TENSOR_TYPES[number]
            elements = 1
            for length in shape:
                elements *= length
            if elements < 1 or (shape or (1,))[0] % block:
                raise broken(self.path, f"{name} has the shape {shape}, as {type_name}")
            size = elements // block * block_bytes
            at = data_offset + offset
            if offset != expected or at % ENGINE_ALIGNMENT:
                raise broken(self.path, f"{name} is not where it should be")
            if at + size > self.size:
                raise broken(
                    self.path, f"{name} ends {at + size - self.size:,} bytes after the file"
                )
            expected = offset + -(-size // alignment) * alignment
            tensors.append(Tensor(name=name, shape=shape, type=type_name, offset=at, bytes=size))
        return tuple(tensors)
