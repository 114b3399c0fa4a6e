"""From a pick's settings to the engine's arguments.

Why these: `n_outputs_max` at its default costs ubatch x vocabulary x 4 bytes of compute buffer
(441 MiB for Qwen3.5), and a chat needs one row of logits. `use_extra_bufts` is repacking: a copy
of the weights on top of the mapped file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from qwenpick.pick.request import KvType, Settings

GGML_TYPES: dict[KvType, int] = {"f16": 1, "q8_0": 8, "q4_0": 2}
"""Numbers of ggml's types (ggml.h: enum ggml_type)."""


class Arguments(Struct, frozen=True, kw_only=True):
    """What llama.cpp is called with; names are its own."""

    n_ctx: int
    n_batch: int
    n_ubatch: int
    n_threads: int
    n_gpu_layers: int
    type_k: int
    type_v: int
    use_extra_bufts: bool
    n_outputs_max: int = 1


def arguments(settings: Settings) -> Arguments:
    """Turn settings into the engine's arguments: one sequence, one row of logits."""
    kv_type = GGML_TYPES[settings.kv_type]
    return Arguments(
        n_ctx=settings.context,
        n_batch=settings.ubatch,
        n_ubatch=settings.ubatch,
        n_threads=settings.threads,
        n_gpu_layers=settings.gpu_layers,
        type_k=kv_type,
        type_v=kv_type,
        use_extra_bufts=settings.repack,
    )
