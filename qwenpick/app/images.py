"""The images of a conversation: read from files and the web, shown to its model, saved with it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from qwenpick import files
from qwenpick.app import store
from qwenpick.errors import QwenpickError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from qwenpick.app.loader import LoadedModel
    from qwenpick.engine.chunks import ImageChunk
    from qwenpick.engine.image import DecodedImage

_ADDRESS = re.compile(r"https?://", re.IGNORECASE)
_LARGEST_SENT = 32 << 20
"""Bytes that an address may send."""


def is_address(where: str) -> bool:
    """Tell whether an image is to be fetched from the web."""
    return _ADDRESS.match(where) is not None


def name_of(where: str) -> str:
    """Give the last part of an image's path or address."""
    return where.partition("?")[0].rstrip("/").rsplit("/", 1)[-1]


def read_image(where: str) -> DecodedImage:
    """Read and decode an image: a file, or what is at an address.

    Raises:
        UsageError: It is missing, or is not an image.
        PullError: The address cannot be reached.
    """
    from qwenpick.engine import image

    if not is_address(where):
        return image.read(files.expanded(where.removeprefix("file://")))
    from qwenpick.pull.sources.web import fetch

    return image.decode(fetch(where, largest=_LARGEST_SENT), where)


class Images:
    """The images of one conversation, and the chunks by which one loaded model sees them."""

    def __init__(self, decoded: dict[str, DecodedImage] | None = None) -> None:
        self._decoded = decoded or {}
        self.chunks: dict[str, ImageChunk] = {}
        """What the model sees, by key."""

    @property
    def largest_tokens(self) -> int:
        """The tokens of the largest image."""
        return max((chunk.n_tokens for chunk in self.chunks.values()), default=0)

    def show(self, image: DecodedImage, loaded: LoadedModel) -> ImageChunk:
        """Let the model see an image.

        Raises:
            RunError: There is no projector, or no memory for it.
        """
        chunk = self.chunks[image.key] = loaded.image_chunk(image)
        self._decoded[image.key] = image
        return chunk

    def shown_to(self, loaded: LoadedModel, keys: Iterable[str]) -> tuple[Images, str]:
        """Show the images of *keys* to another model; returns them, and why some are not seen."""
        images, missing = Images(dict(self._decoded)), 0
        for key in keys:
            if key not in self._decoded:
                missing += 1
                continue
            try:
                images.show(self._decoded[key], loaded)
            except QwenpickError as error:
                return images, f"The model cannot see the images: {error.message} {error.hint}"
        if not missing:
            return images, ""
        words = "1 image is" if missing == 1 else f"{missing} images are"
        return images, f"{words} missing; the text [image] takes the place."

    def png(self, key: str) -> bytes | None:
        """Give an image as a file's bytes, None where it is missing."""
        image = self._decoded.get(key)
        return image.png() if image else None


def saved(session: store.Session) -> Images:
    """Read the images that were saved with a session; what is broken counts as missing."""
    decoded = {}
    for key in session.image_keys:
        if data := store.image(session.name, key):
            from qwenpick.engine.image import decode

            try:
                image = decode(data, key)
            except QwenpickError:
                continue
            if image.key == key:
                decoded[key] = image
    return Images(decoded)
