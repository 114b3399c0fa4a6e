"""A model's identity: its file on this disk, and what it is, found once.

It says what it is by what it was asked for as, else by its name and bytes, else by its header.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from qwenpick.pull.reference import Size

if TYPE_CHECKING:
    from pathlib import Path

    from qwenpick.catalog.model import Catalog, Model
    from qwenpick.pull.gguf.model_file import ModelFile
    from qwenpick.pull.reference import Reference


class LocalModel(Struct, frozen=True, kw_only=True):
    """A model's file on this disk, and what it is."""

    path: Path
    source: str
    """hf, lmstudio, llama.cpp, folder, demo, or file (named by its path)."""
    model: Model | None = None
    """The catalogue's model, None for any other."""
    quant: str | None = None
    projector: Path | None = None
    """The vision projector, where images were asked for."""
    file: ModelFile | None = None
    """Its header, where it took that to tell what it is."""

    @property
    def size(self) -> str | None:
        """Give the catalogue's size, None for any other model."""
        return self.model.size if self.model else None

    @property
    def label(self) -> str:
        """Name it: `Qwen3.5-4B Q4_K_M`, or its file's name."""
        return f"{self.model.name} {self.quant}" if self.model else self.path.stem


def identify(
    path: Path, source: str, catalog: Catalog, reference: Reference | None = None
) -> LocalModel:
    """Tell what a file is: by what it was asked for as, by name and bytes, else by its header.

    Raises:
        RunError: Its header has to be read, and is broken.
    """
    from qwenpick.pull import local as disk
    from qwenpick.pull.gguf.model_file import read_model

    if isinstance(reference, Size):
        model = catalog.model(reference.size)
        return LocalModel(path=path, source=source, model=model, quant=reference.quant)
    if known := disk.known(path, catalog):
        size, weights = known
        if weights.bytes_exact:
            model = catalog.model(size)
            return LocalModel(path=path, source=source, model=model, quant=weights.quant)
    file = read_model(path)
    shape = file.architecture.shape
    model = next((one for one in catalog.models if one.architecture.shape == shape), None)
    return LocalModel(path=path, source=source, model=model, quant=file.quant, file=file)
