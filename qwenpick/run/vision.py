"""Pictures: a file becomes tokens of the prompt, through llama.cpp's multimodal library.

The second file that imports llama_cpp's bindings, beside engine.py. A picture of N tokens
takes N cells of the cache, but only max(columns, rows) positions (M-RoPE), so both are
counted. Pillow decodes, since llama.cpp reads no webp; it also turns a photograph the way
its EXIF says. What a picture was encoded to is kept, so it is encoded once however often
the engine reads it. Load it late: Pillow costs 60 ms.
"""

from __future__ import annotations

import ctypes
import hashlib
import math
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import llama_cpp.llama_cpp as lib
import numpy as np
from llama_cpp import mtmd_cpp as mtmd
from PIL import Image, ImageOps

from qwenpick.errors import RunError, UsageError
from qwenpick.run.log import Log
from qwenpick.run.pieces import ImagePiece

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from qwenpick.run.engine import Engine

TOKENS_A_PICTURE = 1024
"""What the model's authors advise at least where places in a picture matter; the library
itself would go up to 4,096, at four times the wait."""
_TOKEN_SIDE = 32  # pixels: patches of 16, two by two (clip.vision.patch_size, spatial_merge_size)
_WORK_A_PATCH = 11
"""Numbers of four bytes that a patch takes while it is encoded, for each one of its width:
9 to 12 were measured at widths of 768, 1,024 and 1,152 (pictures of 1,024 tokens)."""
_VIDEOS = {".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v"}
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF")
_MOST_PIXELS = 100_000_000

_log = Log()
_log_callback = lib.llama_log_callback(_log.take)
mtmd.mtmd_log_set(_log_callback, ctypes.c_void_p(0))
mtmd.mtmd_helper_log_set(_log_callback, ctypes.c_void_p(0))


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded picture.

    Args:
        pixels: Shape (height, width, 3), RGB.
        note: How it was changed, empty where it was not.
    """

    pixels: NDArray[np.uint8]
    note: str

    @property
    def key(self) -> str:
        """What tells it from any other: a digest of its size and pixels."""
        shape = f"{self.pixels.shape}".encode()
        return hashlib.sha256(shape + self.pixels.tobytes()).hexdigest()


def decode(path: Path, *, tokens: int = TOKENS_A_PICTURE) -> Picture:
    """Read a picture, scaled down where it would take more than *tokens*.

    Raises:
        UsageError: It is not there, is no jpeg, png, webp or gif, or is a video.
    """
    if path.suffix.casefold() in _VIDEOS:
        raise UsageError(
            f"{path.name} is a video, and the engine reads pictures only.",
            hint="The models themselves could: docs/claims.md. Take a picture out of it.",
        )
    try:
        with Image.open(path, formats=_FORMATS) as file:
            return _scaled(_upright(file, path), tokens)
    except FileNotFoundError:
        raise UsageError(f"{path} is not there.") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = getattr(error, "strerror", None) or "it is no whole jpeg, png, webp or gif"
        raise UsageError(f"{path} is not a picture that can be read: {reason}.") from None


def _upright(file: Image.Image, path: Path) -> Image.Image:
    """Decode the first frame, turned as the camera was held, on white where it is clear."""
    if file.width * file.height > _MOST_PIXELS:
        raise UsageError(
            f"{path} has {file.width:,} x {file.height:,} pixels, more than can be decoded here.",
            hint="Make it smaller first.",
        )
    turned = ImageOps.exif_transpose(file)
    if turned.mode in {"RGBA", "LA", "PA"} or "transparency" in turned.info:
        clear = turned.convert("RGBA")
        white = Image.new("RGBA", clear.size, "white")
        turned = Image.alpha_composite(white, clear)
    return turned.convert("RGB")


def _scaled(image: Image.Image, tokens: int) -> Picture:
    width, height = image.size
    factor = math.sqrt(tokens * _TOKEN_SIDE**2 / (width * height))
    if factor >= 1:
        return Picture(np.asarray(image, np.uint8), "")
    size = (max(1, int(width * factor)), max(1, int(height * factor)))
    note = f"scaled from {width} x {height} to {size[0]} x {size[1]} pixels"
    return Picture(np.asarray(image.resize(size, Image.Resampling.BICUBIC), np.uint8), note)


def work_bytes(width: int, tokens: int) -> int:
    """Size the buffers that encoding a picture of *tokens* takes, in bytes.

    Args:
        width: `clip.vision.embedding_length`.
        tokens: Of the picture; each is four patches.
    """
    return _WORK_A_PATCH * 4 * width * 4 * tokens


class Projector:
    """The eyes of one engine.

    Args:
        engine: Its model must be the one that the projector was trained with.
        path: A GGUF file of the architecture `clip`.
        threads: For encoding.
        tokens: The most that a picture may take.

    Raises:
        RunError: The library refuses the file, or it belongs to another model.
    """

    def __init__(
        self, engine: Engine, path: Path, *, threads: int, tokens: int = TOKENS_A_PICTURE
    ) -> None:
        self._engine = engine
        self._tokens = min(tokens, engine.n_ctx // 2)
        model, self._context = engine.handles
        params = mtmd.mtmd_context_params_default()
        params.n_threads = threads
        params.print_timings = False
        params.warmup = False
        params.image_max_tokens = self._tokens
        _log.start()
        self._eyes: Any = mtmd.mtmd_init_from_file(str(path).encode(), model, params)
        if not self._eyes or not mtmd.mtmd_support_vision(self._eyes):
            raise RunError(
                f"{path.name} is no projector for this model: "
                f"{_log.last_error() or 'the engine gives no reason'}.",
                hint="Get the one that belongs to it: qwenpick pull MODEL --vision",
            )
        self._width = int(lib.llama_model_n_embd_inp(model))

    @property
    def compute_bytes(self) -> int:
        """What encoding takes on top of the weights, as the library reported it."""
        return _log.buffers()["compute"]

    def close(self) -> None:
        """Free it; pieces that it made must not be read any more."""
        if self._eyes:
            mtmd.mtmd_free(self._eyes)
            self._eyes = None

    def picture(self, path: Path) -> tuple[ImagePiece, str]:
        """Take a picture in; gives a piece for the prompt, and a note where it was scaled.

        Raises:
            UsageError: It is no picture.
        """
        picture = decode(path, tokens=self._tokens)
        chunk = _Chunk(self._eyes, picture)
        kept: list[NDArray[np.float32]] = []

        def read(position: int) -> None:
            if not kept:
                kept.append(self._encode(chunk))
            self._decode(chunk, kept[0], position)

        piece = ImagePiece(key=picture.key, n_tokens=chunk.n_tokens, n_pos=chunk.n_pos, reader=read)
        return piece, picture.note

    def _encode(self, chunk: _Chunk) -> NDArray[np.float32]:
        """Turn a picture into what the model reads, shape (tokens, width)."""
        if mtmd.mtmd_encode_chunk(self._eyes, chunk.pointer):
            raise RunError("The engine could not encode the picture.", hint=_log.last_error())
        shape = (chunk.n_tokens, self._width)
        values = mtmd.mtmd_get_output_embd(self._eyes)
        return np.ctypeslib.as_array(values, shape).copy()

    def _decode(self, chunk: _Chunk, values: NDArray[np.float32], position: int) -> None:
        after = lib.llama_pos(0)
        code = mtmd.mtmd_helper_decode_image_chunk(
            self._eyes, self._context, chunk.pointer,
            values.ctypes.data_as(ctypes.POINTER(ctypes.c_float)),
            lib.llama_pos(position), lib.llama_seq_id(0), self._engine.n_batch,
            ctypes.byref(after), mtmd.mtmd_helper_post_decode_callback(0), ctypes.c_void_p(0),
        )  # fmt: skip
        self._engine.check_read(code)
        if after.value != position + chunk.n_pos:
            raise RunError("The engine counts the picture's positions in another way.")


class _Chunk:
    """A picture as the library cuts it up: its tokens and positions, and its memory."""

    def __init__(self, eyes: Any, picture: Picture) -> None:  # noqa: ANN401 - a C pointer
        height, width, _ = picture.pixels.shape
        data = np.ascontiguousarray(picture.pixels)
        pixels = data.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))
        bitmap = mtmd.mtmd_bitmap_init(width, height, pixels)
        chunks = mtmd.mtmd_input_chunks_init()
        marker = mtmd.mtmd_default_marker()
        text = mtmd.mtmd_input_text(marker, len(marker), False, True)
        bitmaps = (mtmd.mtmd_bitmap_p_ctypes * 1)(bitmap)
        try:
            code = mtmd.mtmd_tokenize(eyes, chunks, ctypes.byref(text), bitmaps, 1)
            if code:
                raise RunError("The engine can't take this picture.", hint=_log.last_error())
            self.pointer = mtmd.mtmd_input_chunk_copy(_image_of(chunks))
        finally:
            mtmd.mtmd_input_chunks_free(chunks)
            mtmd.mtmd_bitmap_free(bitmap)
        weakref.finalize(self, mtmd.mtmd_input_chunk_free, self.pointer)
        self.n_tokens = int(mtmd.mtmd_input_chunk_get_n_tokens(self.pointer))
        self.n_pos = int(mtmd.mtmd_input_chunk_get_n_pos(self.pointer))


def _image_of(chunks: Any) -> Any:  # noqa: ANN401 - C pointers
    """Find the picture among the chunks; the tokens around it are the chat template's."""
    for index in range(mtmd.mtmd_input_chunks_size(chunks)):
        chunk = mtmd.mtmd_input_chunks_get(chunks, index)
        if mtmd.mtmd_input_chunk_get_type(chunk) == mtmd.MTMD_INPUT_CHUNK_TYPE_IMAGE:
            return chunk
    raise RunError("The engine finds no picture in this.", hint=_log.last_error())
