"""The bandwidth of a processor that was never measured, in a tenth of a second and without numpy.

One thread a core reads a block of its own with the C library's memchr, which lets go of the
interpreter's lock. What counts is each thread's processor time, so that a busy neighbour costs
little of the figure: 18 to 35 GB/s by the clock on two busy cores, 30 to 36 by their own time.
"""

from __future__ import annotations

import ctypes
import mmap
import sys
import threading
import time

from qwenpick.units import MIB

BLOCK = 32 * MIB
"""Bytes that each thread reads, more than the caches hold."""
SECONDS = 0.06
"""How long they read; writing the blocks before it takes about half as long."""
MOST_OF_FREE = 8
"""The blocks take an eighth of the memory that is available, at most."""
_SMALLEST = 8 * MIB


def measured(*, threads: int, available: int) -> float | None:
    """Measure how many bytes a second the cores read together.

    Args:
        threads: Cores that a model would use.
        available: Bytes of memory that may be used.

    Returns:
        Bytes per second; None where it cannot be measured.
    """
    size = min(BLOCK, available // MOST_OF_FREE // max(threads, 1)) // mmap.PAGESIZE * mmap.PAGESIZE
    if size < _SMALLEST:
        return None
    try:
        library = ctypes.CDLL("msvcrt" if sys.platform == "win32" else None)
        memchr, memset = library.memchr, library.memset
    except (OSError, AttributeError):
        return None
    for function in (memchr, memset):
        function.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t)
        function.restype = ctypes.c_void_p
    rates: list[float] = []
    ready = threading.Barrier(threads)

    def read() -> None:
        block = mmap.mmap(-1, size)
        first = ctypes.c_char.from_buffer(block)
        address = ctypes.addressof(first)
        memset(address, 1, size)
        ready.wait()
        best, until = float("inf"), time.perf_counter() + SECONDS
        while best == float("inf") or time.perf_counter() < until:
            start = time.thread_time()
            memchr(address, 0, size)
            best = min(best, time.thread_time() - start)
        rates.append(size / max(best, 1e-9))
        del first
        block.close()

    workers = [threading.Thread(target=read, daemon=True) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(rates) if len(rates) == threads else None
