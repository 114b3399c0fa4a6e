"""Whether a model can see here: its projector's file, and the room that pictures take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qwenpick import units
from qwenpick.errors import RunError

if TYPE_CHECKING:
    from pathlib import Path

    from qwenpick.catalog.model import Projector
    from qwenpick.pick.vision_memory import ProjectorShape


def read_projector_shape(projector: Path, known: Projector | None = None) -> ProjectorShape:
    """Read a projector's shape from its header; *known* is the catalogue's for its model.

    Raises:
        RunError: It is broken, or no projector.
    """
    from qwenpick.pick.vision_memory import ProjectorShape
    from qwenpick.pull.gguf.header import read_header

    header = read_header(projector)
    names = ("embedding_length", "feed_forward_length", "projection_dim", "patch_size")
    hidden, ffn, out, patch = (header.count(f"clip.vision.{name}") for name in names)
    same = known and known.shape and known.shape[:2] == (hidden, ffn)
    return ProjectorShape(
        weights=sum(tensor.bytes for tensor in header.tensors),
        hidden=hidden,
        ffn=ffn,
        out=out,
        patch=patch,
        encoding=known.encoding if known and same else None,
    )


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
