"""The memory sum: what a model takes, part by part, before anything is downloaded.

One context, one sequence, flash attention and one row of logits, as engine/engine.py asks of
llama.cpp. All but the compute buffer and the overhead follows from the model's shape and the
settings. benchmarks/memory.py checks it against what the engine reports and the process takes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct, to_builtins

from qwenpick.catalog.model import ComputeTable  # noqa: TC001 - Structs read their annotations
from qwenpick.pick import compute

if TYPE_CHECKING:
    from qwenpick.catalog.model import Architecture
    from qwenpick.pick.request import KvType, Settings

F32 = 4
MASK_ELEMENT = 2
"""The attention mask is in half floats (llama-graph.cpp)."""

_KV_BLOCK: dict[KvType, tuple[int, int]] = {"f16": (1, 2), "q8_0": (32, 34), "q4_0": (32, 18)}
"""Elements and bytes of a block of each type (ggml-common.h)."""

METADATA_PER_TOKEN = 44
"""Bytes of a GGUF header for each entry of the vocabulary: a BF16 file's bytes less its weights,
over 248,320 entries. Used only where no header was read."""
VOCABULARY_PER_TOKEN = 300
"""Bytes that the engine holds for each entry of the vocabulary: how much the heap grows when a
model is loaded. This and the next three are measured (docs/measurements/memory.md)."""
PROCESS = 48 << 20
"""Python, the engine's library and its graphs, qwenpick itself: more than `chat -p` holds, less
than a chat in a terminal (docs/measurements/memory.md)."""
WORK_PER_TOKEN = 32 << 10
"""For each token of a batch: quantised inputs, and the last layer's results, which the engine
places in the part of the attention mask that a short conversation does not use."""
CELL = 80
"""The engine's book-keeping for each token of the context."""


class FileFacts(Struct, frozen=True, kw_only=True):
    """What is known of a model's file."""

    bytes: int
    weights: int | None = None
    """Bytes of the tensors; None before the header was read."""
    repack: int = 0
    """Bytes of the tensors that this processor would repack; 0 before the header was read."""
    compute: ComputeTable | None = None
    """Its compute buffers, where the catalogue has them or the engine was asked."""

    def buffers(self, arch: Architecture) -> ComputeTable:
        """Give its compute buffers, by formula where nobody knows them."""
        return self.compute or compute.formula(arch)


class MemorySum(Struct, frozen=True, kw_only=True):
    """What a model takes in bytes, part by part, named as the JSON names them."""

    weights: int
    repack: int
    kv_cache: int
    recurrent_state: int
    compute: int
    output: int
    vision: int
    checkpoints: int
    overhead: int
    devices: tuple[tuple[str, int], ...] = ()
    """Name and bytes of each device that holds a share of the total."""
    estimated: bool = False
    """Whether the compute buffer is a formula's estimate, not the engine's own figure."""

    @property
    def total(self) -> int:
        """All parts, at the full context."""
        return (
            self.weights + self.repack + self.kv_cache + self.recurrent_state + self.compute
            + self.output + self.vision + self.checkpoints + self.overhead
        )  # fmt: skip

    @property
    def host(self) -> int:
        """What of the total is not on a device."""
        return self.total - sum(size for _, size in self.devices)

    def to_json(self) -> dict[str, Any]:
        """Give the contract's keys."""
        parts: dict[str, Any] = to_builtins(self)
        del parts["estimated"]
        return parts | {
            "total": self.total,
            "host": self.host,
            "devices": [{"name": name, "bytes": size} for name, size in self.devices],
        }


def memory_sum(
    arch: Architecture,
    file: FileFacts,
    settings: Settings,
    *,
    vision: int = 0,
    checkpoints: int = 0,
) -> MemorySum:
    """Add up what a model takes at its full context, all of it on the host.

    Args:
        arch: The model's shape.
        file: Its file.
        settings: How it is to be loaded.
        vision: Bytes of the projector and its compute buffer, 0 without images.
        checkpoints: The budget of bytes that checkpoints may use.
    """
    table = file.buffers(arch)
    weights = max(file.bytes - METADATA_PER_TOKEN * arch.vocab, 0)
    return MemorySum(
        weights=weights if file.weights is None else file.weights,
        repack=file.repack if settings.repack else 0,
        kv_cache=settings.users
        * kv_cache_bytes(arch, context=settings.context, kv_type=settings.kv_type),
        recurrent_state=settings.users * recurrent_state_bytes(arch),
        compute=compute.host_bytes(table, settings),
        output=settings.users * arch.vocab * F32,  # a row of logits for each user
        vision=vision,
        checkpoints=checkpoints,
        overhead=overhead_bytes(arch, context=settings.all_contexts, ubatch=settings.ubatch),
        estimated=table.formula,
    )


def kv_cache_bytes(arch: Architecture, *, context: int, kv_type: KvType) -> int:
    """Size the attention cache for *context* tokens of one sequence, in bytes.

    Only the full-attention layers keep one; the linear layers' state is counted by
    `recurrent_state_bytes`. The engine rounds a context up to a multiple of 256.
    """
    elements, size = _KV_BLOCK[kv_type]
    values = arch.kv_heads * arch.head_dim * compute.padded(context)
    return arch.full_attention_layers * 2 * (values // elements) * size


def recurrent_state_bytes(arch: Architecture) -> int:
    """Size the linear layers' running state of one sequence; the same for any context.

    Each layer keeps a matrix for each value head, and the convolution's tail.
    """
    values = arch.linear_value_heads * arch.linear_value_dim
    channels = 2 * arch.linear_key_heads * arch.linear_key_dim + values
    tail = max(arch.linear_conv_kernel - 1, 0) * channels
    return arch.linear_layers * (values * arch.linear_key_dim + tail) * F32


def checkpoint_bytes(arch: Architecture) -> int:
    """Size one checkpoint: the recurrent state, as the engine writes it out.

    Beside it are 28 bytes, and for each of a linear layer's two tensors its type and row size
    (llama-memory-recurrent.cpp: state_write).
    """
    if not arch.linear_layers:
        return 0
    return recurrent_state_bytes(arch) + 28 + 24 * arch.linear_layers


def overhead_bytes(arch: Architecture, *, context: int, ubatch: int) -> int:
    """Size the process, its vocabulary, and the engine's own work and book-keeping."""
    work = WORK_PER_TOKEN * ubatch + CELL * context
    return PROCESS + VOCABULARY_PER_TOKEN * arch.vocab + work


def predicted_peak(total: MemorySum, settings: Settings, *, read: int) -> int:
    """Predict the process's peak once *read* tokens were read.

    The attention mask is allocated at once and touched only as the context fills, so a
    shorter conversation leaves 2 x ubatch x unread context untouched. Checkpoints that
    were not made are the caller's to subtract.
    """
    unread = max(settings.context - read, 0)
    return total.total - MASK_ELEMENT * min(settings.ubatch, settings.context) * unread


def used_late(total: MemorySum, settings: Settings) -> int:
    """Size the part of the sum that is first used when text is read, without the mask.

    It is the compute buffer and the engine's work; a short conversation uses little of the mask.
    """
    batch = min(settings.ubatch, settings.context)
    mask = MASK_ELEMENT * batch * settings.context
    return max(total.compute - mask, 0) + WORK_PER_TOKEN * batch
