"""Ask llama.cpp what a model's compute buffers take, without loading its weights.

With `no_alloc` and LLAMA_LOAD_MODE_NONE it reads the header, lays out the graph and reports every
buffer as for a real load. It ends the process on some broken files, so a child process asks, with
a limit on time and memory.
"""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from qwenpick.catalog.model import ComputeBuffer, ComputeTable
from qwenpick.engine.arguments import GGML_TYPES
from qwenpick.errors import RunError
from qwenpick.pick.request import UBATCHES

if TYPE_CHECKING:
    Pointer = Any

CONTEXTS = (4096, 65536)
"""Two contexts give a buffer's constant and its slope: it grows in a straight line."""
SECONDS = 60
"""Far more than the largest vocabulary takes: 3 s on two slow cores."""
MEMORY_BYTES = 2 << 30
"""More than ten times what the child takes for 248,320 tokens: 175 MiB."""
_ROOT = Path(__file__).parents[2]
_CHILD = f"""
import sys
sys.path.insert(0, {str(_ROOT)!r})
from qwenpick.engine import dry_load
dry_load.main(sys.argv[1])
"""


class Report(msgspec.Struct, frozen=True):
    """What the child says, in a line of JSON: the buffers, or why llama.cpp refuses the file."""

    table: ComputeTable | None = None
    refused: str = ""


def compute_buffers(path: Path) -> ComputeTable:
    """Ask a child process for the compute buffers of a GGUF file, on the host.

    Takes 1 to 3 s, most of it for the vocabulary.

    Raises:
        RunError: llama.cpp refuses the file, dies on it, or does not finish.
    """
    try:
        done = subprocess.run(  # noqa: S603 - this Python, and a path as one argument
            [sys.executable, "-P", "-c", _CHILD, str(path)],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=SECONDS,
            check=False,
            env=os.environ | {"GGML_NO_BACKTRACE": "1", "CUDA_VISIBLE_DEVICES": "-1"},
        )
    except subprocess.TimeoutExpired:
        raise _refusal(path, f"it did not finish within {SECONDS} seconds") from None
    try:
        report = msgspec.json.decode(done.stdout, type=Report)
    except msgspec.DecodeError:
        raise _refusal(path, _death(done)) from None
    if report.table is None:
        raise _refusal(path, report.refused or "it gives no reason")
    return report.table


def _death(done: subprocess.CompletedProcess[bytes]) -> str:
    """Say how the child ended, with the assertion that ended it where there is one."""
    last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
    found = re.search(r"GGML_ASSERT.*", last)
    return f"it ends the process ({found[0] if found else done.returncode})"


def _refusal(path: Path, reason: str) -> RunError:
    return RunError(
        f"llama.cpp cannot load {path.name}: {reason}.",
        hint="Check the file with: qwenpick verify; the engine with: qwenpick engine",
    )


def main(path: str) -> None:
    """Be the child: print a Report."""
    _limit_memory()
    from qwenpick.engine.bindings import log

    model = _load(path)
    try:
        report = Report(table=_table(model)) if model else Report(refused=log.first_error())
    except RunError as error:
        report = Report(refused=log.first_error() or error.message)
    sys.stdout.buffer.write(msgspec.json.encode(report))


def _limit_memory() -> None:
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _load(path: str) -> Pointer:
    from qwenpick.engine.bindings import log, start

    lib = start()
    params = lib.llama_model_default_params()
    params.no_alloc = True
    params.load_mode = lib.LLAMA_LOAD_MODE_NONE  # any other ends the process with no_alloc
    params.n_gpu_layers = 0
    params.use_extra_bufts = False
    no_devices = (ctypes.c_void_p * 1)()
    params.devices = ctypes.addressof(no_devices)
    log.start()
    return lib.llama_model_load_from_file(os.fsencode(path), params)


def _table(model: Pointer) -> ComputeTable:
    """Make a context for each KV type and batch size, at two lengths."""
    host: dict[str, dict[int, ComputeBuffer]] = {kv_type: {} for kv_type in GGML_TYPES}
    short, long = CONTEXTS
    for kv_type, ubatch in product(GGML_TYPES, UBATCHES):
        less, more = (_compute_bytes(model, kv_type, ubatch, context) for context in CONTEXTS)
        slope = round((more - less) / (long - short))
        host[kv_type][ubatch] = ComputeBuffer(max(less - slope * short, 0), slope)
    return ComputeTable(host=host)


def _compute_bytes(model: Pointer, kv_type: str, ubatch: int, context: int) -> int:
    from qwenpick.engine import bindings
    from qwenpick.engine.arguments import arguments
    from qwenpick.pick.request import Settings, check_kv_type

    settings = Settings(context=context, kv_type=check_kv_type(kv_type), ubatch=ubatch)
    bindings.log.start()
    made = bindings.make_context(model, arguments(settings))
    bindings.start().llama_free(made)
    return bindings.log.buffers()["compute"]
