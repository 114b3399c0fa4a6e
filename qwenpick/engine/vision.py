"""Images become tokens of the prompt, through llama.cpp's multimodal library.

An image of N tokens takes N cells of the cache, but only max(columns, rows) positions (M-RoPE),
so both are counted. What an image was encoded to is kept, so it is encoded once however often
the engine reads it.
"""

from __future__ import annotations

import ctypes
import weakref
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from qwenpick.engine.bindings import Pointer, bindings, start
from qwenpick.engine.chunks import ImageChunk
from qwenpick.engine.log import Log
from qwenpick.errors import RunError
from qwenpick.pick.vision_memory import TOKENS_A_PICTURE

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from qwenpick.engine.engine import Engine, Stop
    from qwenpick.engine.image import DecodedImage

_log = Log()


@cache
def _start() -> Pointer:
    """Load the multimodal library, once in a process, and take its log."""
    lib, mtmd = start(), bindings("mtmd_cpp")
    mtmd.qwenpick_log = lib.llama_log_callback(_log.take)  # kept for as long as the library
    mtmd.mtmd_log_set(mtmd.qwenpick_log, ctypes.c_void_p(0))
    mtmd.mtmd_helper_log_set(mtmd.qwenpick_log, ctypes.c_void_p(0))
    return mtmd


class Projector:
    """Lets one engine see images.

    Args:
        engine: Its model must be the one that the projector was trained with.
        path: A GGUF file of the architecture `clip`.
        threads: For encoding.
        on_gpu: Whether it lies on the first card, where the sum has it then.

    Raises:
        RunError: The library refuses the file, or it belongs to another model.
    """

    def __init__(self, engine: Engine, path: Path, *, threads: int, on_gpu: bool = False) -> None:
        self._engine = engine
        self._mtmd = mtmd = _start()
        model, self._context = engine.handles
        params = mtmd.mtmd_context_params_default()
        params.n_threads = threads
        params.print_timings = False
        params.warmup = False
        params.use_gpu = on_gpu
        params.image_max_tokens = min(TOKENS_A_PICTURE, engine.n_ctx // 2)
        _log.start()
        self._vision: Pointer = mtmd.mtmd_init_from_file(str(path).encode(), model, params)
        if not self._vision or not mtmd.mtmd_support_vision(self._vision):
            raise RunError(
                f"{path.name} is not a projector for this model: "
                f"{_log.last_error() or 'the engine gives no reason'}.",
                hint="Get the one that belongs to it: qwenpick pull MODEL --vision",
            )
        self._width = int(start().llama_model_n_embd_inp(model))

    @property
    def compute_bytes(self) -> int:
        """What encoding the first image took on top of the weights, as the library said."""
        return _log.buffers()["compute"]

    def close(self) -> None:
        """Free it, once nothing is read with it: chunks that it made cannot be read any more."""
        with self._engine.lock:
            if self._vision:
                self._mtmd.mtmd_free(self._vision)
            self._vision = None

    def chunk(self, image: DecodedImage) -> ImageChunk:
        """Make the chunk of a prompt for an image; it is encoded when it is first read."""
        height, width, _ = image.pixels.shape
        place = _Chunk(self._mtmd, self._open(), width, height)
        encoded: list[NDArray[np.float32]] = []

        def read(position: int, stop: Stop | None) -> None:
            with self._engine.reading(stop):
                if not encoded:
                    encoded.append(self._encode(image))
                self._decode(place, encoded[0], position)

        return ImageChunk(key=image.key, n_tokens=place.n_tokens, n_pos=place.n_pos, reader=read)

    def _open(self) -> Pointer:
        """Give the library's handle, unless the projector was closed."""
        if not self._vision:
            raise RunError("The projector is closed.", hint="Load the model again.")
        return self._vision

    def _encode(self, image: DecodedImage) -> NDArray[np.float32]:
        """Turn an image into what the model reads, shape (tokens, width)."""
        mtmd = self._mtmd
        height, width, _ = image.pixels.shape
        pixels = np.ascontiguousarray(image.pixels)
        chunk = _Chunk(mtmd, self._open(), width, height, pixels)
        if mtmd.mtmd_encode_chunk(self._vision, chunk.pointer):
            raise RunError("The engine could not encode the image.", hint=_log.last_error())
        shape = (chunk.n_tokens, self._width)
        values = mtmd.mtmd_get_output_embd(self._vision)
        return np.ctypeslib.as_array(values, shape).copy()

    def _decode(self, chunk: _Chunk, values: NDArray[np.float32], position: int) -> None:
        lib, mtmd = start(), self._mtmd
        after = lib.llama_pos(0)
        code = mtmd.mtmd_helper_decode_image_chunk(
            self._open(), self._context, chunk.pointer,
            values.ctypes.data_as(ctypes.POINTER(ctypes.c_float)),
            lib.llama_pos(position), lib.llama_seq_id(0), self._engine.n_batch,
            ctypes.byref(after), mtmd.mtmd_helper_post_decode_callback(0), ctypes.c_void_p(0),
        )  # fmt: skip
        self._engine.check_read(code)
        if after.value != position + chunk.n_pos:
            raise RunError("The engine counts the image's positions in another way.")


class _Chunk:
    """An image as the library cuts it up: its tokens and positions.

    Without *pixels* it holds its place, which is all that counting and reading need.
    """

    def __init__(
        self,
        mtmd: Pointer,
        vision: Pointer,
        width: int,
        height: int,
        pixels: NDArray[np.uint8] | None = None,
    ) -> None:
        data = None if pixels is None else pixels.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))
        bitmap = mtmd.mtmd_bitmap_init(width, height, data)
        chunks = mtmd.mtmd_input_chunks_init()
        self._free = weakref.finalize(self, mtmd.mtmd_input_chunks_free, chunks)
        marker = mtmd.mtmd_default_marker()
        text = mtmd.mtmd_input_text(marker, len(marker), False, True)
        bitmaps = (mtmd.mtmd_bitmap_p_ctypes * 1)(bitmap)
        code = mtmd.mtmd_tokenize(vision, chunks, ctypes.byref(text), bitmaps, 1)
        mtmd.mtmd_bitmap_free(bitmap)
        if code:
            raise RunError("The engine cannot take this image.", hint=_log.last_error())
        self.pointer = _image_of(mtmd, chunks)
        self.n_tokens = int(mtmd.mtmd_input_chunk_get_n_tokens(self.pointer))
        self.n_pos = int(mtmd.mtmd_input_chunk_get_n_pos(self.pointer))


def _image_of(mtmd: Pointer, chunks: Pointer) -> Pointer:
    """Find the image among the chunks; the tokens around it are the chat template's."""
    for index in range(mtmd.mtmd_input_chunks_size(chunks)):
        chunk = mtmd.mtmd_input_chunks_get(chunks, index)
        if mtmd.mtmd_input_chunk_get_type(chunk) == mtmd.MTMD_INPUT_CHUNK_TYPE_IMAGE:
            return chunk
    raise RunError("The engine finds no image in this.", hint=_log.last_error())
