"""The compute buffer: a batch's intermediate results and its attention mask, looked up.

llama.cpp takes a constant for each batch size and KV type, and more for each token of the
context (catalog/model.py: ComputeTable). The catalogue's sizes bring theirs (made by
benchmarks/compute_table.py), of any other file the engine is asked (engine/dry_load.py), and
`formula` stands in where there is neither.
"""

from __future__ import annotations

from bisect import bisect_left
from functools import lru_cache
from typing import TYPE_CHECKING

from qwenpick.catalog.model import ComputeBuffer, ComputeTable
from qwenpick.pick.request import KV_TYPES, UBATCHES
from qwenpick.units import CONTEXT_STEP

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qwenpick.catalog.model import Architecture
    from qwenpick.pick.request import Settings

FLOAT, HALF = 4, 2


def host_bytes(table: ComputeTable, settings: Settings) -> int:
    """Size the buffer where the processor does all the work."""
    return _looked_up(table.host[settings.kv_type], settings)


def card_bytes(
    table: ComputeTable, arch: Architecture, settings: Settings, *, weights: int = 0
) -> int:
    """Size the buffer on each card that holds layers.

    The host looks up the tokens' embeddings, so a card has the rest. CUDA's flash attention reads a
    quantised cache from a copy in half floats, one layer's keys and values at the full context
    (ggml-cuda/fattn.cu). Where layers stay on the host, a large batch is computed on the card
    all the same (ggml-backend.cpp: op_offload): it borrows the cache of one layer at a time,
    counted in half floats, and one matrix. Within 1.3 % of docs/measurements/cards.jsonl.

    Args:
        table: The model's compute buffers.
        arch: Its shape.
        settings: How it is loaded.
        weights: Bytes of all its weights where some layers stay on the host, else 0.
    """
    layer = 2 * HALF * arch.kv_heads * arch.head_dim * padded(settings.all_contexts)
    matrix = arch.ffn * arch.hidden * weights // max(arch.text_params, 1)
    borrowed = layer + matrix if weights else 0
    if table.card is not None:
        return _looked_up(table.card[settings.kv_type], settings) + borrowed
    copies = layer if settings.kv_type != "f16" else 0
    embedded = FLOAT * min(settings.ubatch, padded(settings.all_contexts)) * arch.hidden
    return host_bytes(table, settings) - embedded + copies + borrowed


def input_bytes(arch: Architecture, settings: Settings) -> int:
    """Size what the host prepares for cards, which llama.cpp reports as its compute buffer.

    The embedded tokens, room for embedded images, and the mask (ggml-backend.cpp keeps a graph's
    inputs on the host).
    """
    cells = padded(settings.all_contexts)
    batch = min(settings.ubatch, cells)
    return 2 * FLOAT * batch * arch.hidden + HALF * batch * cells


def padded(context: int) -> int:
    """Round a context up as the engine does."""
    return -(-context // CONTEXT_STEP) * CONTEXT_STEP


@lru_cache(maxsize=256)
def formula(arch: Architecture) -> ComputeTable:
    """Estimate the buffers of a model that is not in the catalogue, without an engine to ask.

    The stage that keeps most numbers a token, and two recurrent states beside it: at most 5 MiB
    more than the engine takes for the catalogue's sizes.
    """
    values = arch.linear_value_heads * arch.linear_value_dim
    channels = 2 * arch.linear_key_heads * arch.linear_key_dim + values
    attention = 3 * arch.hidden + 5 * arch.heads * arch.head_dim
    numbers = max(3 * (arch.hidden + max(arch.ffn, channels)), attention) + 9
    states = 2 * FLOAT * values * arch.linear_key_dim
    rows = {
        batch: ComputeBuffer(FLOAT * numbers * batch + states, HALF * batch) for batch in UBATCHES
    }
    return ComputeTable(host=dict.fromkeys(KV_TYPES, rows), formula=True)


def _looked_up(rows: Mapping[int, ComputeBuffer], settings: Settings) -> int:
    """Give the bytes for any batch size, between two of the table's on a straight line."""
    cells = padded(settings.all_contexts)
    batch = min(settings.ubatch, cells)
    if batch in rows:
        return rows[batch].at(cells)
    sizes = sorted(rows)
    above = min(max(bisect_left(sizes, batch), 1), len(sizes) - 1)
    low, high = sizes[above - 1], sizes[above]
    share = max(batch - low, 0) / (high - low)
    return round(rows[low].at(cells) * (1 - share) + rows[high].at(cells) * share)
