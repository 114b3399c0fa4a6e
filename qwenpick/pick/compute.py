"""The compute buffer: what the engine needs beside the weights while it reads a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qwenpick.units import CONTEXT_STEP

if TYPE_CHECKING:
    from qwenpick.catalog.model import Architecture
    from qwenpick.pick.wish import KvType

F32, F16 = 4, 2


def compute_bytes(arch: Architecture, *, context: int, ubatch: int, kv_type: KvType = "f16") -> int:
    """Size the compute buffer for a batch of *ubatch* tokens.

    The buffer is as large as the greediest stage of the graph (the tensors that live at the
    same time there), and the attention mask, which is there throughout.
    """
    cells = -(-context // CONTEXT_STEP) * CONTEXT_STEP
    batch = min(ubatch, cells)
    mask = F16 * batch * cells
    stages = [_feed_forward(arch, batch), _attention(arch, batch)]
    if arch.linear_layers:
        stages += _linear(arch, batch)
    rotation = F32 * arch.head_dim**2 if kv_type != "f16" else 0
    return max(stages) + mask + rotation


def input_bytes(arch: Architecture, *, context: int, ubatch: int) -> int:
    """Size what the host prepares where cards do the work: embedded tokens and the mask.

    llama.cpp logs it as the host's compute buffer beside a card's (ggml-backend.cpp keeps a
    graph's inputs on the host).
    """
    return F32 * ubatch * arch.hidden + F16 * ubatch * context


def _feed_forward(arch: Architecture, batch: int) -> int:
    """Input, residual and norm; gate, up and their product."""
    return F32 * batch * 3 * (arch.hidden + arch.ffn)


def _attention(arch: Architecture, batch: int) -> int:
    """Queries with their gates, rotated, and the answer; keys; input, residual and norm."""
    queries, keys = arch.heads * arch.head_dim, arch.kv_heads * arch.head_dim
    return F32 * batch * (4 * queries + keys + 3 * arch.hidden)


def _linear(arch: Architecture, batch: int) -> list[int]:
    """The mixed channels before, in and after the convolution, or the state read and written."""
    keys = arch.linear_key_heads * arch.linear_key_dim
    values = arch.linear_value_heads * arch.linear_value_dim
    channels = 2 * keys + values
    tail = F32 * (arch.linear_conv_kernel - 1) * channels
    gates = F32 * batch * 2 * arch.linear_value_heads
    state = F32 * values * arch.linear_key_dim
    mixed = F32 * batch * 3 * (channels + arch.hidden) + tail + gates
    return [mixed, mixed - F32 * batch * 2 * keys + 2 * state]
