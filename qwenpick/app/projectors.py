"""A model's vision projector: its file, its shape, and the memory that images take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qwenpick import units
from qwenpick.app.pulls import pull_asked
from qwenpick.errors import RunError
from qwenpick.pull import local as disk
from qwenpick.pull.reference import Size

if TYPE_CHECKING:
    from pathlib import Path

    from qwenpick.app.local_model import LocalModel
    from qwenpick.app.ui import Ui
    from qwenpick.catalog.model import Catalog, Projector
    from qwenpick.pick.vision_memory import ProjectorShape


def find_projector(local: LocalModel, catalog: Catalog, ui: Ui) -> Path:
    """Find a model's vision projector: beside it, else its size's, downloaded after a question.

    Raises:
        RunError: There is none, so the model cannot see.
        UsageError: There is nobody to ask.
        PullError: It could not be downloaded, or was refused.
    """
    if local.projector:
        return local.projector
    shape = local.model or local.file
    width = shape.architecture.hidden if shape else None
    if beside := disk.projector_beside(local.path, width):
        return beside
    model, quant = local.model, local.quant
    if not model or not quant or not model.file(quant):
        raise RunError(
            f"Images need a vision projector (mmproj-*.gguf) beside {local.path.name}.",
            hint="Put the model's own there; for a size of the catalogue: "
            "qwenpick pull MODEL --vision",
        )
    if not disk.find_projector(model.size, catalog, ui):
        reference = Size(size=model.size, quant=quant)
        pull_asked(reference, catalog, ui, vision=True, what="The vision projector of ")
    found = disk.find_projector(model.size, catalog, ui)
    if not found:
        raise RunError("The downloaded projector is missing.", hint="Run: qwenpick doctor")
    return found


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
    """Refuse images where *left* bytes do not hold them.

    Raises:
        RunError: They do not.
    """
    from qwenpick.pick.vision_memory import vision_bytes

    needed = vision_bytes(read_projector_shape(projector))
    if needed > left:
        raise RunError(
            f"Images need {units.memory(needed)}; {units.memory(max(left, 0))} are available.",
            hint="Use a shorter --context or a smaller size, or load it anyway: --force",
        )
