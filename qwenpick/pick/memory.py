"""The memory sum: what a model takes, part by part, before anything is loaded.

The law is llama.cpp's own arithmetic for one sequence with flash attention and one row
of logits; docs/memory.md tells it in a page and shows the measured error. All in bytes.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from qwenpick.pick import compute
from qwenpick.units import CONTEXT_STEP

if TYPE_CHECKING:
    from qwenpick.catalog.model import Architecture
    from qwenpick.pick.subject import Subject
    from qwenpick.pick.wish import KvType, Settings

FLOAT = 4
KV_BYTES = {"f16": (2, 1), "q8_0": (34, 32), "q4_0": (18, 32)}
"""Bytes of a block of each type, and the values in it (ggml-common.h)."""
CHECKPOINTS = 4
"""Copies of the recurrent state that a conversation keeps to go back to."""
HEADER_PER_TOKEN = 44
"""Bytes of a GGUF header for each entry of its vocabulary: its text, its type, a merge. The
catalogue's BF16 files less two bytes a weight, over 248,320 entries."""
PROCESS = 96 << 20
"""The interpreter, its imports and the engine's library."""
PER_TOKEN_OF_VOCABULARY = 335
"""The engine's tables of a vocabulary: text, score, hash entries, merges."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemorySum:
    """What a model takes at its full context, part by part."""

    weights: int
    repack: int = 0
    kv_cache: int
    recurrent_state: int
    compute: int
    output: int
    vision: int = 0
    checkpoints: int = 0
    overhead: int = 0
    devices: tuple[tuple[str, int], ...] = ()
    """Name and bytes of what lies on each device."""

    @property
    def total(self) -> int:
        """The sum of the parts."""
        return (
            self.weights
            + self.repack
            + self.kv_cache
            + self.recurrent_state
            + self.compute
            + self.output
            + self.vision
            + self.checkpoints
            + self.overhead
        )

    @property
    def host(self) -> int:
        """What lies on the host: all that lies on no device."""
        return self.total - sum(used for _, used in self.devices)

    def to_json(self) -> dict[str, Any]:
        """Give the contract's keys."""
        return asdict(self) | {
            "total": self.total,
            "host": self.host,
            "devices": [{"name": name, "bytes": used} for name, used in self.devices],
        }

    def to_json(self) -> dict[str, Any]:
        """Give the contract's keys."""
        return asdict(self) | {
            "total": self.total,
            "host": self.host,
            "devices": [{"name": name, "bytes": size} for name, size in self.devices],
        }


def memory_sum(subject: Subject, settings: Settings) -> MemorySum:
    """Sum what a file takes with these settings, everything on the host."""
    shape = subject.architecture
    state = recurrent_state_bytes(shape)
    return MemorySum(
        weights=subject.weights,
        repack=subject.repackable if settings.repack else 0,
        kv_cache=kv_cache_bytes(shape, context=settings.context, kv_type=settings.kv_type),
        recurrent_state=state,
        compute=compute_bytes(shape, settings),
        output=shape.vocab * FLOAT,
        vision=subject.projector,
        checkpoints=CHECKPOINTS * state,
        overhead=PROCESS + shape.vocab * PER_TOKEN_OF_VOCABULARY,
    )


def header_bytes(shape: Architecture) -> int:
    """Guess what of a file is header, where it was not read: its vocabulary."""
    return shape.vocab * HEADER_PER_TOKEN


def kv_cache_bytes(shape: Architecture, *, context: int, kv_type: KvType) -> int:
    """Size the attention cache for *context* tokens of one sequence.

    Only the full-attention layers keep one (6 of 24, or 8 of 32); the linear layers'
    state is counted by `recurrent_state_bytes`. The engine pads a context to 256.
    """
    block, values = KV_BYTES[kv_type]
    row = shape.kv_heads * shape.head_dim * block // values
    return shape.full_attention_layers * 2 * row * _padded(context)


def recurrent_state_bytes(shape: Architecture) -> int:
    """Size the state of the linear layers for one sequence, whatever its length."""
    memory = shape.linear_value_heads * shape.linear_key_dim * shape.linear_value_dim
    kept = max(shape.linear_conv_kernel - 1, 0) * conv_channels(shape)
    return shape.linear_layers * (memory + kept) * FLOAT


def conv_channels(shape: Architecture) -> int:
    """Count the channels of a linear layer's convolution: its queries, keys and values."""
    keys = shape.linear_key_heads * shape.linear_key_dim
    return 2 * keys + shape.linear_value_heads * shape.linear_value_dim


def compute_bytes(shape: Architecture, settings: Settings) -> int:
    """Size the compute buffer: the widest stage of the graph, and the attention mask."""
    batch = min(settings.ubatch, _padded(settings.context))
    rotated = settings.kv_type != "f16"
    return compute.graph_bytes(shape, batch, rotated=rotated) + mask_bytes(settings)


def mask_bytes(settings: Settings) -> int:
    """Size the attention mask, of which a short conversation touches only its own part."""
    context = _padded(settings.context)
    return compute.HALF * min(settings.ubatch, context) * context


def input_bytes(shape: Architecture, settings: Settings) -> int:
    """Size what the host prepares for devices that do the work: embedded tokens and mask."""
    return settings.ubatch * shape.hidden * FLOAT + mask_bytes(settings)


def predicted_peak(memory: MemorySum, settings: Settings, *, read: int) -> int:
    """Give the total less the part of the mask that *read* tokens leave untouched."""
    unread = max(_padded(settings.context) - read, 0)
    return memory.total - compute.HALF * min(settings.ubatch, settings.context) * unread


def _padded(context: int) -> int:
    return -(-context // CONTEXT_STEP) * CONTEXT_STEP
