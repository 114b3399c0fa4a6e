"""Whether a model can see here: its projector's file, and the room that pictures take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qwenpick import units
from qwenpick.errors import RunError

if TYPE_CHECKING:
    from pathlib import Path


def find_projector(path: Path) -> Path:
    """Find the projector beside a model's file: `mmproj` and its precision, as hubs name it.

    Raises:
        RunError: There is none, so the model can't see.
    """
    found = sorted(path.parent.glob("mmproj*.gguf"))
    if not found:
        raise RunError(
            f"Pictures need a projector (mmproj-*.gguf) beside {path.name}.",
            hint="Type: qwenpick pull MODEL --vision",
        )
    return found[0]


def vision_bytes(projector: Path) -> int:
    """Size what pictures take: the projector's weights, and the work on one picture."""
    from qwenpick.pull.gguf import read_header  # noqa: PLC0415 - not needed for --help
    from qwenpick.run.vision import TOKENS_A_PICTURE, work_bytes  # noqa: PLC0415 - Pillow

    header = read_header(projector)
    width = header.metadata.get("clip.vision.embedding_length")
    weights = sum(tensor.bytes for tensor in header.tensors)
    return weights + work_bytes(int(str(width or 0)), TOKENS_A_PICTURE)


def check_room(projector: Path, left: int) -> None:
    """Refuse pictures where *left* bytes do not hold them.

    Raises:
        RunError: They do not.
    """
    needed = vision_bytes(projector)
    if needed > left:
        raise RunError(
            f"Pictures take {units.memory(needed)}, and {units.memory(max(left, 0))} are left.",
            hint="Start with a shorter --context or a smaller size, or all the same with --force.",
        )
