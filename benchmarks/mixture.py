"""Which tensors a Qwen3.5 file has, and which types they get so that the bytes come out right."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from qwenpick.pull.gguf.format import TENSOR_TYPES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qwenpick.catalog.model import Architecture

BLOCKS = {name: (block, size) for name, block, size in TENSOR_TYPES.values()}
LADDER = ("Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "Q8_0", "BF16")
"""Types for any matrix, smallest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One tensor: its name, its shape with the columns first, its type."""

    name: str
    shape: tuple[int, ...]
    type: str = "F32"
    matrix: bool = False
    """Whether it is multiplied with, and so may be quantised."""

    @property
    def bytes(self) -> int:
        """Size of its data."""
        block, size = BLOCKS[self.type]
        elements = self.shape[0] * (self.shape[1] if len(self.shape) > 1 else 1)
        return elements // block * size


def plan(arch: Architecture, quant: str, *, budget: int | None = None) -> tuple[Planned, ...]:
    """Give each tensor a type: a known recipe, else what fills *budget* bytes best.

    Raises:
        ValueError: No recipe has this name and there is no budget, or it is too small.
    """
    parts = tuple(_parts(arch))
    known = _recipe(parts, arch, quant)
    if known and (budget is None or _total(known) <= budget):
        return known
    if budget is None:
        raise ValueError(f"no recipe for {quant}: say how many bytes it should have")
    return _filled(parts, budget)


def _recipe(parts: tuple[Planned, ...], arch: Architecture, quant: str) -> tuple[Planned, ...]:
    if quant in {"F32", "F16", *LADDER}:
        return tuple(replace(part, type=quant) if part.matrix else part for part in parts)
    if quant == "Q4_K_M":
        return tuple(
            replace(part, type=_medium(part.name, arch)) if part.matrix else part for part in parts
        )
    return ()


def _medium(name: str, arch: Architecture) -> str:
    """Choose as Q4_K_M of the catalogue's files does: this adds up to their bytes, all four.

    llama.cpp's own rules (src/llama-quant.cpp) for the embedding, the output, attn_qkv and
    ffn_down; the others are what is left over once those are counted.
    """
    if name == "output.weight" or (name == "token_embd.weight" and arch.tied_embeddings):
        return "Q6_K"
    if not name.startswith("blk."):
        return "Q4_K"
    _, number, kind, *_ = name.split(".")
    layer = int(number)
    if kind in ("attn_qkv", "ssm_out"):
        return "Q5_K"
    if kind in ("ssm_alpha", "ssm_beta"):
        return "Q8_0"
    eighth = arch.layers // 8
    if kind == "ffn_down":
        edge = layer < eighth or layer >= 7 * eighth
        return "Q6_K" if edge or (layer - eighth) % 3 == 2 else "Q4_K"
    attention = arch.full_attention_layers
    order = layer * attention // arch.layers
    return "Q6_K" if kind == "attn_v" and order < -(-5 * attention // 8) else "Q4_K"


def _filled(parts: tuple[Planned, ...], budget: int) -> tuple[Planned, ...]:
    """Take the highest type that fits, then raise tensors a step each, the largest first."""
    at = max(
        (step for step in range(len(LADDER)) if _total(_all(parts, step)) <= budget), default=-1
    )
    if at < 0:
        raise ValueError(f"{budget:,} bytes are too few: {_total(_all(parts, 0)):,} at least")
    chosen = list(_all(parts, at))
    left = budget - _total(tuple(chosen))
    higher = _all(parts, min(at + 1, len(LADDER) - 1))
    for index in sorted(range(len(parts)), key=lambda index: -chosen[index].bytes):
        more = higher[index].bytes - chosen[index].bytes
        if 0 < more <= left:
            chosen[index] = higher[index]
            left -= more
    return tuple(chosen)


def _all(parts: tuple[Planned, ...], step: int) -> tuple[Planned, ...]:
    return tuple(replace(part, type=LADDER[step]) if part.matrix else part for part in parts)


def _total(parts: tuple[Planned, ...]) -> int:
    return sum(part.bytes for part in parts)


def _parts(arch: Architecture) -> Iterator[Planned]:
    """List the tensors that src/models/qwen35.cpp loads, with their shapes."""
    yield _matrix("token_embd.weight", arch.hidden, arch.vocab)
    if not arch.tied_embeddings:
        yield _matrix("output.weight", arch.hidden, arch.vocab)
    yield Planned(name="output_norm.weight", shape=(arch.hidden,))
    interval = arch.layers // arch.full_attention_layers
    for layer in range(arch.layers):
        linear = (layer + 1) % interval != 0
        yield from _linear(arch, layer) if linear else _attention(arch, layer)
        yield from _feed_forward(arch, layer)
    for layer in range(arch.layers, arch.layers + arch.mtp_layers):
        yield from _attention(arch, layer)
        yield from _feed_forward(arch, layer)
        yield _matrix(f"blk.{layer}.nextn.eh_proj.weight", 2 * arch.hidden, arch.hidden)
        for name in ("enorm", "hnorm", "shared_head_norm"):
            yield Planned(name=f"blk.{layer}.nextn.{name}.weight", shape=(arch.hidden,))


def _matrix(name: str, columns: int, rows: int) -> Planned:
    return Planned(name=name, shape=(columns, rows), matrix=True)


def _feed_forward(arch: Architecture, layer: int) -> Iterator[Planned]:
    for name in ("attn_norm", "post_attention_norm"):
        yield Planned(name=f"blk.{layer}.{name}.weight", shape=(arch.hidden,))
    yield _matrix(f"blk.{layer}.ffn_gate.weight", arch.hidden, arch.ffn)
    yield _matrix(f"blk.{layer}.ffn_up.weight", arch.hidden, arch.ffn)
    yield _matrix(f"blk.{layer}.ffn_down.weight", arch.ffn, arch.hidden)


def _attention(arch: Architecture, layer: int) -> Iterator[Planned]:
    queries, keys = arch.heads * arch.head_dim, arch.kv_heads * arch.head_dim
    yield _matrix(f"blk.{layer}.attn_q.weight", arch.hidden, 2 * queries)  # and the gate
    yield _matrix(f"blk.{layer}.attn_k.weight", arch.hidden, keys)
    yield _matrix(f"blk.{layer}.attn_v.weight", arch.hidden, keys)
    yield _matrix(f"blk.{layer}.attn_output.weight", queries, arch.hidden)
    for name in ("attn_q_norm", "attn_k_norm"):
        yield Planned(name=f"blk.{layer}.{name}.weight", shape=(arch.head_dim,))


def _linear(arch: Architecture, layer: int) -> Iterator[Planned]:
    values = arch.linear_value_heads * arch.linear_value_dim
    channels = 2 * arch.linear_key_heads * arch.linear_key_dim + values
    yield _matrix(f"blk.{layer}.attn_qkv.weight", arch.hidden, channels)
    yield _matrix(f"blk.{layer}.attn_gate.weight", arch.hidden, values)
    yield _matrix(f"blk.{layer}.ssm_alpha.weight", arch.hidden, arch.linear_value_heads)
    yield _matrix(f"blk.{layer}.ssm_beta.weight", arch.hidden, arch.linear_value_heads)
    yield _matrix(f"blk.{layer}.ssm_out.weight", values, arch.hidden)
    yield Planned(name=f"blk.{layer}.ssm_conv1d.weight", shape=(arch.linear_conv_kernel, channels))
    yield Planned(name=f"blk.{layer}.ssm_dt.bias", shape=(arch.linear_value_heads,))
    yield Planned(name=f"blk.{layer}.ssm_a", shape=(arch.linear_value_heads,))
    yield Planned(name=f"blk.{layer}.ssm_norm.weight", shape=(arch.linear_value_dim,))
