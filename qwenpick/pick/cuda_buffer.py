"""The compute buffer on a card: the graph of compute.py, and what CUDA lays into it beside that."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from qwenpick.pick.compute import FLOAT, HALF, Reading, mask_bytes, padded, rotation_bytes
from qwenpick.pick.memory import layer_kv_bytes

if TYPE_CHECKING:
    from qwenpick.catalog.model import Architecture
    from qwenpick.pick.graph import Result
    from qwenpick.pick.request import Settings


@lru_cache(maxsize=1024)
def card_bytes(arch: Architecture, settings: Settings, *, weights: int = 0) -> int:
    """Size the compute buffer on a card, to a hundredth of a MiB where it does all the work.

    Embedded tokens are the host's to prepare. CUDA's flash attention reads a quantised cache from
    a copy in half floats, of one layer's keys and values at the full context (ggml-cuda/fattn.cu:
    ggml_cuda_flash_attn_ext_get_alloc_size).

    Args:
        arch: The model's shape.
        settings: How it is loaded.
        weights: Bytes of all weights, where layers are left to the host; of these a large batch
            borrows each matrix and each layer's cache (ggml-backend.cpp: op_offload). How many
            bits each matrix has is not asked, so this part is within a fifth.
    """
    batch = min(settings.ubatch, padded(settings.context))
    graph = _OnCard(arch, batch, rotated=settings.kv_type != "f16")
    if settings.kv_type != "f16":
        numbers = 2 * arch.kv_heads * arch.head_dim * padded(settings.context)
        graph.copies = HALF * numbers
    if weights:
        graph.weight = weights / arch.text_params
        graph.cache = layer_kv_bytes(arch, context=settings.context, kv_type=settings.kv_type)
    return graph.size() + mask_bytes(settings) - FLOAT * batch * arch.hidden


def input_bytes(arch: Architecture, settings: Settings) -> int:
    """Size what the host prepares where cards do all the work, logged as its compute buffer.

    The embedded tokens, room for embedded pictures, the mask, and what a quantised cache is
    rotated with (ggml-backend.cpp keeps a graph's inputs on the host).
    """
    batch = min(settings.ubatch, padded(settings.context))
    rotations = rotation_bytes(arch) if settings.kv_type != "f16" else ()
    return 2 * FLOAT * batch * arch.hidden + mask_bytes(settings) + sum(rotations)


class _OnCard(Reading):
    copies = 0
    """Bytes of keys and values in half floats."""
    weight = 0.0
    """Bytes of a weight that is borrowed from the host."""
    cache = 0
    """Bytes of a layer's cache that is borrowed."""

    def product(self, width: int, source: Result) -> Result:
        borrowed = self.graph.step(int(self.weight * width * source.bytes / self.row))
        return self.graph.step(self.row * width, source, borrowed)

    def attended(self, query: Result) -> Result:
        keys, values = (self.graph.step(self.cache // 2) for _ in range(2))
        width = self.shape.heads * self.shape.head_dim
        return self.graph.step(self.row * width + self.copies, query, keys, values)
