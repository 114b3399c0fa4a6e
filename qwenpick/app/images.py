"""The pictures of a conversation: looked at, shown to its model, kept with its session."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from qwenpick.chat.messages import pictures_of
from qwenpick.errors import QwenpickError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from qwenpick.app.loader import LoadedModel
    from qwenpick.app.store import Session
    from qwenpick.chat.messages import Message
    from qwenpick.engine.chunks import ImageChunk
    from qwenpick.engine.image import Picture

_ADDRESS = re.compile(r"https?://", re.IGNORECASE)
_LARGEST_SENT = 32 << 20
"""Bytes that an address may send."""


def is_address(where: str) -> bool:
    """Tell whether a picture is to be fetched from the web."""
    return _ADDRESS.match(where) is not None


def name_of(where: str) -> str:
    """Name a picture in a word."""
    return where.partition("?")[0].rstrip("/").rsplit("/", 1)[-1]


def look_at(where: str) -> Picture:
    """Take a picture in: a file, or what is at an address.

    Raises:
        UsageError: It is no picture, or not there.
        PullError: The address can't be reached.
    """
    from qwenpick.engine import image

    if not is_address(where):
        return image.read(Path(where.removeprefix("file://")).expanduser())
    from qwenpick.pull.sources.web import fetch

    return image.decode(fetch(where, largest=_LARGEST_SENT), where)


class Images:
    """All pictures of a conversation, shown to the model that is loaded."""

    def __init__(self, loaded: LoadedModel) -> None:
        self._loaded = loaded
        self.pictures: dict[str, Picture] = {}
        self.largest = 0
        """Tokens of the largest picture that was shown."""

    @property
    def projector(self) -> Path | None:
        """The projector's file, once a picture was shown."""
        return self._loaded.projector_file

    @property
    def reported(self) -> int:
        """Bytes of the buffer that encoding the first picture took, as the library said."""
        return self._loaded.vision_bytes

    def show(self, picture: Picture) -> ImageChunk:
        """Make a piece for the prompt of a picture.

        Raises:
            RunError: There is no projector, or no memory for it.
        """
        self.pictures[picture.key] = picture
        piece = self._loaded.image_chunk(picture)
        self.largest = max(self.largest, piece.n_tokens)
        return piece

    def again(self, messages: Iterable[Message]) -> tuple[dict[str, ImageChunk], str]:
        """Show the pictures of earlier messages; gives what was shown, and why not the rest."""
        keys = [key for message in messages for key in pictures_of(message)]
        shown, gone = {}, 0
        for key in dict.fromkeys(keys):
            if key not in self.pictures:
                gone += 1
                continue
            try:
                shown[key] = self.show(self.pictures[key])
            except QwenpickError as error:
                return shown, f"Its pictures can't be seen: {error.message} {error.hint}"
        words = "A picture is" if gone == 1 else f"{gone} pictures are"
        return shown, f"{words} not there any more: a word stands in its place." if gone else ""

    def keep(self, session: Session, messages: Iterable[Message]) -> None:
        """Write the pictures of messages beside their session."""
        for message in messages:
            for key in pictures_of(message):
                if picture := self.pictures.get(key):
                    session.keep_picture(key, picture.png)

    def take_over(self, session: Session) -> None:
        """Read the pictures that were kept with a session; what is broken counts as missing."""
        self.pictures = {}
        for message in session.messages:
            for key in pictures_of(message):
                self._read(session, key)

    def _read(self, session: Session, key: str) -> None:
        data = session.picture(key)
        if data is None:
            return
        from qwenpick.engine.image import decode

        try:
            picture = decode(data, key)
        except QwenpickError:
            return
        if picture.key == key:
            self.pictures[key] = picture
