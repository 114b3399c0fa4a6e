"""llama.cpp's library: found, its log taken; a model, a context, a chain of samplers made.

The only file that imports llama_cpp. Importing it starts nothing; `start` loads the library, 30 ms.
"""

from __future__ import annotations

import ctypes
import importlib.util
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from qwenpick.engine.log import Log
from qwenpick.errors import EngineMissingError, RepackError, RunError
from qwenpick.hardware.engine_build import version_in

if TYPE_CHECKING:
    from collections.abc import Callable

    from qwenpick.engine.arguments import Arguments

Pointer: TypeAlias = Any
"""A C pointer, or the library that gives them: ctypes has no types for mypy."""

log = Log()
AMX = "AMX"
"""The buffer of weights for Intel's matrix instructions (ggml/src/ggml-cpu/amx/amx.cpp)."""
_M_MMAP_THRESHOLD = -3  # malloc.h
_LARGE_BYTES = 4 * 2**20


@cache
def start() -> Pointer:
    """Load llama.cpp's library, once in a process, and take its log.

    Raises:
        EngineMissingError: It is not installed, or does not load.
    """
    try:
        lib = bindings("llama_cpp")
    except (ImportError, OSError, RuntimeError) as error:
        raise EngineMissingError(
            f"The engine is not installed ({error}).", hint="Install it: qwenpick engine install"
        ) from None
    take_log(lib)
    lib.llama_backend_init()
    _fix_mmap_threshold()
    return lib


@cache
def log_callback(lib: Pointer) -> Pointer:
    """Make the callback that gives llama.cpp's lines to `log`."""
    return lib.llama_log_callback(log.take)


def take_log(lib: Pointer) -> None:
    """Have the log sent to `log`: again before a load, since llama_cpp.Llama takes it, too."""
    lib.llama_log_set(log_callback(lib), ctypes.c_void_p(0))


def bindings(name: str) -> Pointer:
    """Import one of llama_cpp's low-level modules alone.

    Its package would import the class Llama with it, and numpy, jinja2 and diskcache: 0.1 s and
    23 MiB (docs/decisions.md). So it is there, and empty, for as long as its module is imported.
    """
    there = sys.modules.get("llama_cpp")
    spec = importlib.util.find_spec("llama_cpp")
    if spec is None:
        raise ImportError("llama_cpp is not installed")
    sys.modules["llama_cpp"] = there or importlib.util.module_from_spec(spec)
    try:
        return importlib.import_module(f"llama_cpp.{name}")
    finally:
        if not there:
            del sys.modules["llama_cpp"]


def _fix_mmap_threshold() -> None:
    """Have the C library give large blocks back to the system when they are freed.

    glibc raises its threshold with every large block that is freed, and keeps all below it for
    itself: 11 MiB after a large vocabulary was read (mallopt(3), docs/decisions.md).
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
        if mallopt:
            mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)


@cache
def version() -> str:
    """Give the version of the bindings; importlib.metadata would take 12 ms for it."""
    return version_in(Path(start().__file__).parent.parent) or "unknown"


def load_model(path: Path, arguments: Arguments, watch: Callable[[float], None]) -> Pointer:
    """Load a model's weights; *watch* is told which part is there, 0 to 1.

    Raises:
        RunError: llama.cpp refuses the file, or has no memory for it.
        RepackError: It has repacked the weights for AMX.
    """
    lib = start()
    log.start()
    take_log(lib)
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
    none = (ctypes.c_void_p * 1)()  # a list of devices ends with a null pointer
    if not arguments.n_gpu_layers:  # else a card reads long prompts all the same
        params.devices = ctypes.addressof(none)
    params.use_extra_bufts = arguments.use_extra_bufts
    model = lib.llama_model_load_from_file(str(path).encode(), params)
    if stops:
        raise stops[0]
    if not model:
        raise RunError(
            f"The engine cannot load {path.name}: {log.first_error() or 'it gives no reason'}.",
            hint="Check the file with: qwenpick verify; the engine with: qwenpick engine",
        )
    if AMX in log.names():
        lib.llama_model_free(model)
        raise RepackError(
            "This engine repacks weights for AMX, which takes twice their memory, and ends the "
            "process where GCC 12 has compiled it.",
            hint="Use --no-repack; or compile the engine without AMX: CXXFLAGS=-mno-amx-int8 pip "
            "install --force-reinstall --no-deps --no-cache-dir "
            "--no-binary llama-cpp-python llama-cpp-python",
        )
    return model


def make_context(model: Pointer, arguments: Arguments) -> Pointer:
    """Make a context of one sequence; the model is freed where that fails.

    Raises:
        RunError: llama.cpp has no memory for it.
    """
    lib = start()
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
    params.flash_attn_type = lib.LLAMA_FLASH_ATTN_TYPE_ENABLED
    context = lib.llama_init_from_model(model, params)
    if not context:
        lib.llama_model_free(model)
        raise RunError(
            f"The engine cannot make a context of {arguments.n_ctx:,} tokens: "
            f"{log.first_error() or 'it gives no reason'}.",
            hint="Try a shorter one: --context 8k",
        )
    return context


def abort_callback(lib: Pointer) -> Pointer:
    """Make a callback of libc's strlen, which costs nothing: a Python one takes the GIL.

    Given a two-byte buffer it answers 0 while that is empty, and 1 once a byte stands in it.
    """
    return ctypes.cast(_libc().strlen, lib.ggml_abort_callback)


def silent_log_callback(lib: Pointer) -> Pointer:
    """Make a callback that drops a line of log: libc's abs, which takes its level."""
    return ctypes.cast(_libc().abs, lib.llama_log_callback)


def _libc() -> Pointer:
    return ctypes.CDLL("msvcrt" if sys.platform == "win32" else None)
