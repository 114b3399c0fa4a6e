"""Whether a model can see here: its projector's file, and the room that pictures take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qwenpick import units
from qwenpick.errors import RunError

if TYPE_CHECKING:
    from pathlib import Path

    from qwenpick.pick.vision_memory import ProjectorShape


def read_projector_shape(projector: Path) -> ProjectorShape:
    """Read a projector's shape from its header.

    Raises:
        RunError: It is broken, or no projector.
    """
    from qwenpick.pick.vision_memory import ProjectorShape
    from qwenpick.pull.gguf.header import read_header

    header = read_header(projector)
    names = {
        "hidden": "embedding_length", "ffn": "feed_forward_length", "layers": "block_count",
        "out": "projection_dim", "patch": "patch_size",
    }  # fmt: skip
    shape = {slot: header.count(f"clip.vision.{key}") for slot, key in names.items()}
    return ProjectorShape(weights=sum(tensor.bytes for tensor in header.tensors), **shape)


def check_room(projector: Path, left: int) -> None:
    """Refuse pictures where *left* bytes do not hold them.

    Raises:
        RunError: They do not.
    """
    from qwenpick.pick.vision_memory import vision_bytes

    needed = vision_bytes(read_projector_shape(projector))
    if needed > left:
        raise RunError(
            f"Pictures take {units.memory(needed)}, and {units.memory(max(left, 0))} are left.",
            hint="Start with a shorter --context or a smaller size, or all the same with --force.",
        )
