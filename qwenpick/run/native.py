"""llama.cpp's library: found, its log taken, a model and a context made. Imports llama_cpp.

Import it late: llama_cpp takes about 0.2 s.
"""

from __future__ import annotations

import atexit
import ctypes
import sys
from typing import TYPE_CHECKING, Any

from qwenpick.errors import EngineMissingError, RunError
from qwenpick.run.log import Log

try:
    import llama_cpp.llama_cpp as lib
except (ImportError, OSError, RuntimeError) as _error:
    raise EngineMissingError(
        f"The engine is not installed here ({_error}).", hint="Type: qwenpick engine install"
    ) from None

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from qwenpick.run.settings import Arguments

__all__ = ["abort_callback", "lib", "load_model", "log", "make_context", "version"]

log = Log()
_log_callback = lib.llama_log_callback(log.take)
lib.llama_log_set(_log_callback, ctypes.c_void_p(0))
lib.llama_backend_init()
_M_MMAP_THRESHOLD = -3  # malloc.h
_LARGE_BYTES = 4 * 2**20


def _fix_mmap_threshold() -> None:
    """Have the C library give large blocks back to the system when they are freed.

    glibc raises its threshold with every large block that is freed, and keeps all below it for
    itself: 11 MiB after a large vocabulary was read (mallopt(3), docs/decisions.md).
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
        if mallopt:
            mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)


_fix_mmap_threshold()


@atexit.register
def _close_null() -> None:
    """Close what the bindings open at import and leave open, which Python complains of at exit."""
    for name in ("outnull_file", "errnull_file"):
        if file := getattr(sys.modules["llama_cpp._utils"], name, None):
            file.close()


def version() -> str:
    """Give the version of the bindings."""
    import llama_cpp  # noqa: PLC0415 - its parent is loaded already

    return str(llama_cpp.__version__)


def load_model(path: Path, arguments: Arguments, watch: Callable[[float], None]) -> Any:  # noqa: ANN401 - a C pointer
    """Load a model's weights; *watch* is told which part is there, 0 to 1.

    Raises:
        RunError: llama.cpp refuses the file, or has no memory for it.
    """
    stops: list[BaseException] = []

    @lib.llama_progress_callback  # type: ignore[untyped-decorator]
    def moved(part: float, _: object) -> bool:
        try:
            watch(part)
        except (KeyboardInterrupt, SystemExit) as stop:  # a signal's: C code can't pass it on
            stops.append(stop)
        return not stops

    params = lib.llama_model_default_params()
    params.progress_callback = moved
    params.n_gpu_layers = arguments.n_gpu_layers
    params.use_extra_bufts = arguments.use_extra_bufts
    model = lib.llama_model_load_from_file(str(path).encode(), params)
    if stops:
        raise stops[0]
    if not model:
        raise RunError(
            f"The engine can't load {path.name}: {log.last_error() or 'it gives no reason'}.",
            hint="Check the file with: qwenpick verify; the engine with: qwenpick engine",
        )
    return model


def make_context(model: Any, arguments: Arguments) -> Any:  # noqa: ANN401 - C pointers
    """Make a context of one sequence; the model is freed where that fails.

    Raises:
        RunError: llama.cpp has no memory for it.
    """
    params = lib.llama_context_default_params()
    params.n_ctx = arguments.n_ctx
    params.n_batch = arguments.n_batch
    params.n_ubatch = arguments.n_ubatch
    params.n_outputs_max = arguments.n_outputs_max
    params.n_seq_max = 1
    params.n_threads = arguments.n_threads
    params.n_threads_batch = arguments.n_threads
    params.type_k = arguments.type_k
    params.type_v = arguments.type_v
    params.flash_attn_type = (
        lib.LLAMA_FLASH_ATTN_TYPE_ENABLED
        if arguments.flash_attention
        else lib.LLAMA_FLASH_ATTN_TYPE_DISABLED
    )
    context = lib.llama_init_from_model(model, params)
    if not context:
        lib.llama_model_free(model)
        raise RunError(
            f"The engine can't make a context of {arguments.n_ctx:,} tokens: "
            f"{log.last_error() or 'it gives no reason'}.",
            hint="Try a shorter one: --context 8k",
        )
    return context


def abort_callback() -> Any:  # noqa: ANN401 - a C function pointer
    """Make a callback of libc's strlen, which costs nothing: a Python one takes the GIL.

    Given a two-byte buffer it answers 0 while that is empty, and 1 once a byte stands in it.
    """
    name = "msvcrt" if sys.platform == "win32" else None
    return ctypes.cast(ctypes.CDLL(name).strlen, lib.ggml_abort_callback)
