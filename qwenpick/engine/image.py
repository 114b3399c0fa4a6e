"""An image, from a file's bytes to pixels. The only file that imports Pillow: it costs 60 ms.

Pillow decodes, since llama.cpp reads no webp; it also turns a photograph the way its EXIF says.
"""

from __future__ import annotations

import hashlib
import io
import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps

from qwenpick.errors import UsageError
from qwenpick.pick.vision_memory import TOKENS_A_PICTURE

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_TOKEN_SIDE = 32  # pixels: patches of 16, two by two (clip.vision.patch_size, spatial_merge_size)
_VIDEOS = {".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv"}
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF")
_MOST_PIXELS = 100_000_000
_LARGEST_FILE = 100 << 20
"""Bytes: more than any image of as many pixels as can be decoded here takes."""
_HINT = "An image is a JPEG, PNG, WebP or GIF file."


@dataclass(frozen=True)
class DecodedImage:
    """A decoded image.

    Args:
        pixels: Shape (height, width, 3), RGB.
        note: How it was changed, empty where it was not.
    """

    pixels: NDArray[np.uint8]
    note: str

    @cached_property
    def key(self) -> str:
        """What tells it from any other: a digest of its size and pixels."""
        digest = hashlib.sha256(f"{self.pixels.shape}".encode())
        digest.update(np.ascontiguousarray(self.pixels).data)
        return digest.hexdigest()

    def png(self) -> bytes:
        """Give it as a file's bytes, every pixel as it is."""
        file = io.BytesIO()
        Image.fromarray(self.pixels).save(file, "PNG", compress_level=1)
        return file.getvalue()


def read(path: Path, *, tokens: int = TOKENS_A_PICTURE) -> DecodedImage:
    """Read an image file, scaled down where it would take more than *tokens*.

    Raises:
        UsageError: It is not there, is not a JPEG, PNG, WebP or GIF, or is a video.
    """
    if path.suffix.casefold() in _VIDEOS:
        raise _video(path.name)
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST_FILE + 1)
    except FileNotFoundError:
        raise UsageError(f"There is no file {path}.", hint="Check its name.") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.", hint=_HINT) from None
    if len(data) > _LARGEST_FILE:
        raise UsageError(f"{path} is too large for an image.", hint=_HINT)
    return decode(data, str(path), tokens=tokens)


def decode(data: bytes, name: str, *, tokens: int = TOKENS_A_PICTURE) -> DecodedImage:
    """Decode an image, scaled down where it would take more than *tokens*.

    Raises:
        UsageError: It is not a JPEG, PNG, WebP or GIF, or a video, by its own bytes.
    """
    if _is_video(data):
        raise _video(name)
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as file:
            return _scaled(file, name, tokens)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        raise UsageError(f"{name} is not a whole image.", hint=_HINT) from None


def _is_video(data: bytes) -> bool:
    """Look for the containers of mp4 and mov, mkv and webm, and avi."""
    box, brand = data[4:8], data[8:12]
    still = brand in {b"heic", b"heix", b"mif1", b"avif"}
    return (
        (box == b"ftyp" and not still)
        or data.startswith(b"\x1a\x45\xdf\xa3")
        or (data.startswith(b"RIFF") and brand == b"AVI ")
    )


def _video(name: str) -> UsageError:
    return UsageError(
        f"{name} is a video, and the engine reads images only.",
        hint="The models themselves could: docs/claims.md. Extract a frame first.",
    )


def _scaled(file: Image.Image, name: str, tokens: int) -> DecodedImage:
    """Decode the first frame, and bring it down to its tokens."""
    width, height = file.size
    if width * height > _MOST_PIXELS:
        raise UsageError(
            f"{name} has {width:,} x {height:,} pixels, more than can be decoded.",
            hint="Make it smaller first.",
        )
    notes = ["its first frame"] if getattr(file, "is_animated", False) else []
    room = tokens * _TOKEN_SIDE**2
    file.draft("RGB", _within((width, height), room))  # a jpeg comes at a half, a quarter ...
    ImageOps.exif_transpose(file, in_place=True)
    image, size = _flat(file), _within(file.size, room)
    if width * height > room:
        notes.append(f"scaled from {width} x {height} to {size[0]} x {size[1]} pixels")
        image = image.resize(size, Image.Resampling.BICUBIC)
    return DecodedImage(np.asarray(image, np.uint8), "; ".join(notes))


def _within(size: tuple[int, int], room: int) -> tuple[int, int]:
    """Scale a size down to so many pixels."""
    width, height = size
    factor = min(math.sqrt(room / (width * height)), 1.0)
    return max(1, int(width * factor)), max(1, int(height * factor))


def _flat(image: Image.Image) -> Image.Image:
    """Give it as RGB, on white where it is clear."""
    if image.mode in {"RGBA", "LA", "PA"} or "transparency" in image.info:
        clear = image.convert("RGBA")
        white = Image.new("RGBA", clear.size, "white")
        white.alpha_composite(clear)
        return white.convert("RGB")
    return image.convert("RGB")
