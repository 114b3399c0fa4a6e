"""Writes vision projectors of Qwen3.5's type with random weights, tiny or of the real shape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import gguf
import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

POSITIONS = 2304  # 48 x 48 learned ones: image_size 768 in patches of 16
_PATCH = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectorShape:
    """The shape of a projector."""

    hidden: int
    ffn: int
    layers: int
    heads: int
    out: int
    """The width of the model that it belongs to."""


TINY = ProjectorShape(hidden=64, ffn=128, layers=2, heads=2, out=128)
REAL_SMALL = ProjectorShape(hidden=768, ffn=3072, layers=12, heads=12, out=1024)
"""The shape that the 0.8B's has."""
REAL_MIDDLE = ProjectorShape(hidden=1024, ffn=4096, layers=24, heads=16, out=2048)
"""The shape that the 2B's has."""


def write(path: Path, eyes: ProjectorShape, *, seed: int = 0) -> Path:
    """Write a projector of the type `qwen3vl_merger` to *path*, matrices in F16."""
    writer = gguf.GGUFWriter(path, "clip")
    writer.add_string("clip.projector_type", "qwen3vl_merger")
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_bool("clip.use_gelu", True)
    for key, value in (
        ("embedding_length", eyes.hidden), ("feed_forward_length", eyes.ffn),
        ("block_count", eyes.layers), ("projection_dim", eyes.out), ("image_size", 768),
        ("patch_size", _PATCH), ("spatial_merge_size", 2), ("attention.head_count", eyes.heads),
    ):  # fmt: skip
        writer.add_uint32(f"clip.vision.{key}", value)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-6)
    writer.add_array("clip.vision.image_mean", [0.5] * 3)
    writer.add_array("clip.vision.image_std", [0.5] * 3)
    dice = np.random.default_rng(seed)

    def matrix(name: str, *shape: int, kind: type = np.float16) -> None:
        writer.add_tensor(name, (dice.standard_normal(shape) * 0.02).astype(kind))

    def pair(name: str, out: int, inner: int) -> None:
        matrix(f"{name}.weight", out, inner)
        writer.add_tensor(f"{name}.bias", np.zeros(out, np.float32))

    def norm(name: str) -> None:
        writer.add_tensor(f"{name}.weight", np.ones(eyes.hidden, np.float32))
        writer.add_tensor(f"{name}.bias", np.zeros(eyes.hidden, np.float32))

    for name in ("v.patch_embd.weight", "v.patch_embd.weight.1"):
        matrix(name, eyes.hidden, 3, _PATCH, _PATCH)
    writer.add_tensor("v.patch_embd.bias", np.zeros(eyes.hidden, np.float32))
    matrix("v.position_embd.weight", POSITIONS, eyes.hidden, kind=np.float32)
    for layer in range(eyes.layers):
        block = f"v.blk.{layer}"
        norm(f"{block}.ln1")
        norm(f"{block}.ln2")
        pair(f"{block}.attn_qkv", 3 * eyes.hidden, eyes.hidden)
        pair(f"{block}.attn_out", eyes.hidden, eyes.hidden)
        pair(f"{block}.ffn_up", eyes.ffn, eyes.hidden)
        pair(f"{block}.ffn_down", eyes.hidden, eyes.ffn)
    norm("v.post_ln")
    pair("mm.0", 4 * eyes.hidden, 4 * eyes.hidden)
    pair("mm.2", eyes.out, 4 * eyes.hidden)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
