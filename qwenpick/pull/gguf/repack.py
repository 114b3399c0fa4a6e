"""Which of a file's tensors the engine would repack on this processor, and so hold twice.

llama.cpp keeps the mapped file and lays a copy beside it, in the order that its kernels read
fastest (ggml/src/ggml-cpu/repack.cpp, ggml_repack_get_optimal_repack_type).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from qwenpick.pull.gguf.format import Tensor

_ROWS = 8
"""Rows are interleaved in eights; a matrix with others left over is not repacked."""
_BY_FEATURE = {
    "avx2": {"Q4_0", "Q4_K", "IQ4_NL", "MXFP4"},
    "avx512f": {"Q2_K"},
    "dotprod": {"Q1_0", "Q4_0", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "MXFP4", "Q8_0"},
}
"""A feature of the processor, named as hardware/cpu.py does, to the types with a kernel for it."""


def repacked_bytes(tensors: Collection[Tensor], features: Iterable[str]) -> int:
    """Size the repacked copy of a model's weights on a processor with these features."""
    types: set[str] = set().union(*(_BY_FEATURE.get(feature, set()) for feature in features))
    tied = all(tensor.name != "output.weight" for tensor in tensors)
    return sum(
        tensor.bytes
        for tensor in tensors
        if tensor.type in types and _multiplied(tensor, tied=tied)
    )


def _multiplied(tensor: Tensor, *, tied: bool) -> bool:
    """Say whether it is a matrix of whole groups of rows, and not only looked up."""
    if len(tensor.shape) != 2 or tensor.shape[1] % _ROWS:  # noqa: PLR2004 - a matrix
        return False
    return tied or tensor.name != "token_embd.weight"
