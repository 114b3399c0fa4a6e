"""Random weights in each type's own blocks, with scales that keep a model's numbers sane.

The layouts are those of ggml (ggml/src/ggml-common.h): a superblock of 256 weights has half-float
scales beside its small ones. Every block is valid, and a matrix has a mean near zero.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from mixture import Planned

POOL = 65_537
"""So many blocks are made, then repeated: a prime, so that rows repeat only after as many."""

Bytes = np.ndarray[Any, np.dtype[np.uint8]]


def weights(tensor: Planned, source: np.random.Generator) -> bytes:
    """Make the data of *tensor*, or a pool that is to be repeated until it is full."""
    if not tensor.matrix:
        return _vector(tensor, source).astype("<f4").tobytes()
    spread = tensor.shape[0] ** -0.5
    elements = tensor.shape[0] * tensor.shape[1]
    if tensor.type in _PLAIN:
        values = source.standard_normal(min(elements, POOL * 64), dtype=np.float32) * spread
        return _PLAIN[tensor.type](values)
    block = 32 if tensor.type == "Q8_0" else 256
    count = min(elements // block, POOL)
    return np.concatenate(_PACKED[tensor.type](source, count, spread), axis=1).tobytes()


def _vector(tensor: Planned, source: np.random.Generator) -> np.ndarray[Any, Any]:
    """Give norms values about 1, and the gates' constants what lets a state fade slowly."""
    size = int(np.prod(tensor.shape))
    if tensor.name.endswith("norm.weight"):
        return source.uniform(0.8, 1.2, size)
    if tensor.name.endswith("ssm_a"):
        return -source.uniform(0.5, 8, size)
    if tensor.name.endswith("ssm_dt.bias"):
        return source.uniform(-5, -2, size)
    return source.normal(0, 0.5, size)


def _bf16(values: np.ndarray[Any, Any]) -> bytes:
    return (values.astype("<f4").view("<u4") >> 16).astype("<u2").tobytes()


_PLAIN: dict[str, Callable[[np.ndarray[Any, Any]], bytes]] = {
    "F32": lambda values: values.astype("<f4").tobytes(),
    "F16": lambda values: values.astype("<f2").tobytes(),
    "BF16": _bf16,
}


def _noise(source: np.random.Generator, count: int, width: int) -> Bytes:
    return source.integers(0, 256, (count, width), dtype=np.uint8)


def _half(count: int, value: float) -> Bytes:
    return np.full((count, 1), value, dtype="<f2").view(np.uint8)


def _same(count: int, row: bytes) -> Bytes:
    return np.tile(np.frombuffer(row, dtype=np.uint8), (count, 1))


_SCALES = bytes([160] * 8 + [0] * 4)
"""All eight scales and all eight minima of a Q4_K or Q5_K superblock 32, six bits each."""


def _q8_0(source: np.random.Generator, count: int, spread: float) -> list[Bytes]:
    return [_half(count, spread / 74), _noise(source, count, 32)]


def _q6_k(source: np.random.Generator, count: int, spread: float) -> list[Bytes]:
    scale = _half(count, spread / (18.5 * 32))
    return [_noise(source, count, 192), _same(count, bytes([32] * 16)), scale]


def _q5_k(source: np.random.Generator, count: int, spread: float) -> list[Bytes]:
    unit = spread / (9.2 * 32)
    return [_half(count, unit), _half(count, 15.5 * unit), _same(count, _SCALES),
            _noise(source, count, 160)]  # fmt: skip


def _q4_k(source: np.random.Generator, count: int, spread: float) -> list[Bytes]:
    unit = spread / (4.6 * 32)
    return [_half(count, unit), _half(count, 7.5 * unit), _same(count, _SCALES),
            _noise(source, count, 128)]  # fmt: skip


def _q3_k(source: np.random.Generator, count: int, spread: float) -> list[Bytes]:
    return [_noise(source, count, 108), _half(count, spread / (2.3 * 18.5))]


def _q2_k(source: np.random.Generator, count: int, spread: float) -> list[Bytes]:
    unit = spread / (1.1 * 8)
    return [_same(count, bytes([0x88] * 16)), _noise(source, count, 64), _half(count, unit),
            _half(count, 1.5 * unit)]  # fmt: skip


_PACKED = {
    "Q8_0": _q8_0, "Q6_K": _q6_k, "Q5_K": _q5_k, "Q4_K": _q4_k, "Q3_K": _q3_k, "Q2_K": _q2_k,
}  # fmt: skip
