"""The compute buffer on a card: the graph of ggml_compute.py, and CUDA's copies beside it."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from ggml_compute import FLOAT, HALF, Reading

from qwenpick.pick.compute import padded

if TYPE_CHECKING:
    from ggml_graph import Result

    from qwenpick.catalog.model import Architecture
    from qwenpick.pick.request import Settings


@lru_cache(maxsize=1024)
def card_bytes(arch: Architecture, settings: Settings) -> int:
    """Size the compute buffer on a card that does all the work, to a hundredth of a MiB.

    Embedded tokens are the host's to prepare. CUDA's flash attention reads a quantised cache from
    a copy in half floats, of one layer's keys and values at the full context (ggml-cuda/fattn.cu:
    ggml_cuda_flash_attn_ext_get_alloc_size).
    """
    cells = padded(settings.context)
    batch = min(settings.ubatch, cells)
    graph = _OnCard(arch, batch, rotated=settings.kv_type != "f16")
    if settings.kv_type != "f16":
        graph.copies = HALF * 2 * arch.kv_heads * arch.head_dim * cells
    return graph.size() + HALF * batch * cells - FLOAT * batch * arch.hidden


class _OnCard(Reading):
    copies = 0
    """Bytes of keys and values in half floats."""

    def attended(self, query: Result) -> Result:
        width = self.shape.heads * self.shape.head_dim
        return self.graph.step(self.row * width + self.copies, query)
