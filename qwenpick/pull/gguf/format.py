"""What a GGUF file is made of: its types, its limits, and its header as facts.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. The limits are those of
llama.cpp (ggml/src/gguf.cpp), as are the sizes of the types (gguf-py, GGML_QUANT_SIZES).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from qwenpick.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MAGIC = b"GGUF"
SHORT_ARRAY = 1024
"""Arrays of up to this many elements are read: one value for each layer of any model."""

VERSIONS = (2, 3)
MAX_LENGTH = 1 << 30  # of a string in bytes and of an array in elements: GGUF_MAX_*
MAX_NAME = 63  # GGML_MAX_NAME, less the closing zero
MAX_DIMENSIONS = 4
DEFAULT_ALIGNMENT = 32
ENGINE_ALIGNMENT = 32  # TENSOR_ALIGNMENT: it asserts that mapped tensors lie so

SCALARS = {
    0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d",
}  # fmt: skip
STRING, ARRAY = 8, 9

TENSOR_TYPES: Mapping[int, tuple[str, int, int]] = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22), 7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 9: ("Q8_1", 32, 36),
    10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110), 12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210), 15: ("Q8_K", 256, 292),
    16: ("IQ2_XXS", 256, 66), 17: ("IQ2_XS", 256, 74), 18: ("IQ3_XXS", 256, 98),
    19: ("IQ1_S", 256, 50), 20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110),
    22: ("IQ2_S", 256, 82), 23: ("IQ4_XS", 256, 136), 24: ("I8", 1, 1), 25: ("I16", 1, 2),
    26: ("I32", 1, 4), 27: ("I64", 1, 8), 28: ("F64", 1, 8), 29: ("IQ1_M", 256, 56),
    30: ("BF16", 1, 2), 34: ("TQ1_0", 256, 54), 35: ("TQ2_0", 256, 66), 39: ("MXFP4", 32, 17),
    40: ("NVFP4", 64, 36), 41: ("Q1_0", 128, 18), 42: ("Q2_0", 64, 18),
}  # fmt: skip
"""A tensor type's number to its name, the elements of a block, and a block's bytes."""

Scalar = int | float | bool | str


class LongArray(Struct, frozen=True, kw_only=True):
    """An array that was walked over: what it holds, how many, and where in the file."""

    strings: bool
    count: int
    start: int
    end: int


Value = Scalar | tuple[Scalar, ...] | LongArray


class Tensor(Struct, frozen=True, kw_only=True):
    """One tensor: where its bytes are, and how they are to be read."""

    name: str
    shape: tuple[int, ...]
    """Innermost first, as GGUF writes it: (columns, rows)."""
    type: str
    offset: int
    """From the start of the file, in bytes."""
    bytes: int


class Header(Struct, frozen=True, kw_only=True):
    """All that a GGUF file says of itself before its first weight."""

    path: Path
    version: int
    metadata: Mapping[str, Value]
    tensors: tuple[Tensor, ...]
    data_offset: int
    file_bytes: int

    def count(self, key: str, default: int | None = None) -> int:
        """Read a key that is a whole number, not below zero.

        Raises:
            RunError: It is missing and has no default, or is no such number.
        """
        value = self.metadata.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            found = "missing" if value is None else f"{value!r}"
            raise broken(self.path, f"{key} is {found}")
        return value

    def text(self, key: str) -> str:
        """Read a key that is a text, empty where it is missing or is none."""
        value = self.metadata.get(key)
        return value if isinstance(value, str) else ""


def broken(path: Path, what: str) -> RunError:
    """Say that a file is no sound GGUF file, and what to do about it."""
    return RunError(
        f"{path.name} is broken: {what}.",
        hint="Check it: qwenpick verify. Download it again: qwenpick pull",
    )
