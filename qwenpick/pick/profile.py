"""A file that may be picked: one of the catalogue's, or one whose header was read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec import Struct

from qwenpick.pick.memory import FileFacts, MemorySum, checkpoint_bytes, memory_sum
from qwenpick.pick.vision_memory import ProjectorShape, vision_bytes

if TYPE_CHECKING:
    from qwenpick.catalog.model import Architecture, Model, WeightsFile
    from qwenpick.pick.request import Settings

FOUR_BITS = 4


class ModelProfile(Struct, frozen=True, kw_only=True):
    """What the memory sum, the placement and the speed estimate need to know of a file."""

    architecture: Architecture
    file: FileFacts
    embedding: int
    """Bytes of the input embedding."""
    output: int | None = None
    """Bytes of the output matrix; None where it is as large as the embedding, or is that."""
    vision: int = 0
    """Bytes of the vision projector and its work, where images are asked for."""
    size: str | None = None
    quant: str | None = None

    @property
    def unread(self) -> int:
        """Bytes that are not read for every token: an input embedding that is only looked up."""
        return 0 if self.architecture.tied_embeddings else self.embedding

    @property
    def operations(self) -> int:
        """Floating-point operations of a token: two for each parameter.

        Parameters that nobody counted are taken to have five bits each.
        """
        return 2 * (self.architecture.text_params or self.file.bytes * 8 // 5)

    def memory(self, settings: Settings) -> MemorySum:
        """Sum what it takes with these settings, everything on the host."""
        return memory_sum(
            self.architecture,
            self.file,
            settings,
            vision=self.vision,
            checkpoints=settings.users * settings.checkpoints * checkpoint_bytes(self.architecture),
        )


def of_catalog(model: Model, file: WeightsFile, *, vision: bool) -> ModelProfile:
    """Describe a file of the catalogue, whose header nobody has read yet.

    Its embedding is taken to spend as many bits on a weight as the file does on average.
    """
    shape = model.architecture
    return ModelProfile(
        architecture=shape,
        file=FileFacts(bytes=file.bytes, compute=model.compute),
        embedding=file.bytes * shape.vocab * shape.hidden // shape.text_params,
        vision=_vision(model) if vision else 0,
        size=model.size,
        quant=file.quant,
    )


def _vision(model: Model) -> int:
    """Size what images take; of a projector whose shape nobody knows, its file alone."""
    projector = model.projector
    if projector is None or projector.shape is None:
        return projector.bytes if projector else 0
    hidden, ffn, _ = projector.shape
    return vision_bytes(
        ProjectorShape(
            weights=projector.bytes,
            hidden=hidden,
            ffn=ffn,
            out=model.architecture.hidden,
            encoding=projector.encoding,
        )
    )


def bits(quant: str) -> int:
    """Read the bits that a quantisation is named after: 4 of `UD-Q4_K_XL`, 16 of `BF16`."""
    match = re.search(r"(?:Q|BF|F)(\d+)", quant.upper())
    return int(match[1]) if match else 0
