"""Sizes, contexts and rates, read and written. Words live here, numbers elsewhere."""

import re

from qwenpick.errors import UsageError

KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30

_FACTORS = {
    "K": KIB, "M": MIB, "G": GIB, "T": 1 << 40,
    "KIB": KIB, "MIB": MIB, "GIB": GIB, "TIB": 1 << 40,
    "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
}  # fmt: skip
_WHOLE_FROM = 9.95  # tokens per second; from here on it rounds to a whole number
_SHOWN = 40
"""Letters of what was typed that an error repeats."""
_LARGEST = 1 << 60
"""Bytes; no machine is near it, and sums of such sizes stay whole numbers of 64 bits."""
CONTEXT_STEP = 256  # llama.cpp pads n_ctx to it (llama-context.cpp: GGML_PAD(n_ctx, 256))


def parse_memory(text: str) -> int:
    """Read a memory size: `6G` and `6GiB` are 6 x 2^30 bytes, `6GB` is 6 x 10^9.

    Raises:
        UsageError: The text is not a size, has no unit, or is not from 1 byte to 2^60.
    """
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([kmgt](?:i?b)?)?\s*", text, re.IGNORECASE)
    if not match:
        raise UsageError(
            f"{_short(text)} is not a memory size.", hint="Write it as 6G, 6GB or 512M."
        )
    number, unit = match.groups()
    if not unit:
        raise UsageError(
            f"{_short(text)} has no unit.",
            hint=f"Write it as {number[:20]}G (2^30 bytes) or {number[:20]}GB.",
        )
    size = float(number) * _FACTORS[unit.upper()]
    if not 1 <= size <= _LARGEST:
        raise UsageError(
            f"{_short(text)} is not a possible memory size.", hint="Write it as 6G, 6GB or 512M."
        )
    return int(size)


def parse_context(text: str) -> int:
    """Read a context: `8192`, or `8k` for 8,192; rounded up to a multiple of 256.

    Raises:
        UsageError: The text is not a context, or is not from 1 to 10^9.
    """
    match = re.fullmatch(r"\s*([0-9]{1,9})\s*(k?)\s*", text, re.IGNORECASE)
    tokens = int(match[1]) * (KIB if match[2] else 1) if match else 0
    if tokens < 1:
        raise UsageError(
            f"{_short(text)} is not a possible context length.",
            hint="Write it in tokens: 8192, or 8k for 8,192.",
        )
    return -(-tokens // CONTEXT_STEP) * CONTEXT_STEP


def _short(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")


def memory(size: int) -> str:
    """Say a size in memory, in binary units: `3.6 GiB`, `512 MiB`."""
    if size >= GIB:
        return f"{size / GIB:.1f} GiB"
    return f"{size / MIB:.0f} MiB"


def download(size: int) -> str:
    """Say a size on disk or on the wire, in decimal units: `2.7 GB`, `533 MB`."""
    if size >= 10**9:
        return f"{size / 10**9:.1f} GB"
    if size >= 10**6:
        return f"{size / 10**6:.0f} MB"
    return f"{size / 10**3:.0f} kB"


def count(number: int, noun: str) -> str:
    """Say how many: `1 file`, `2 files`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def context(tokens: int) -> str:
    """Say a context: `32k`, `4,352 tokens` where it is no whole k."""
    return f"{tokens // KIB}k" if tokens and tokens % KIB == 0 else f"{tokens:,}"


def rate(tokens_per_second: float) -> str:
    """Say a rate without digits that it can't stand for: `98`, `8.6`, `0.4`."""
    digits = 0 if tokens_per_second >= _WHOLE_FROM else 1
    return f"{tokens_per_second:.{digits}f}"
