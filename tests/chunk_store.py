"""A chunk store (xet) as its protocol's page describes it, over files that lie whole on disk.

    a plan    GET /v1/reconstructions/FILE, Range: bytes of the file   which chunks, where
    chunks    GET /xorb/FILE/N, Range: bytes of the xorb               each behind its header

Chunks are of one size here, and stored as they are. https://huggingface.co/docs/xet
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_CHUNK = 1 << 16
_HEADER = 8
_CHUNKS_IN_A_XORB = 512


def plan(path: Path, span: tuple[int, int], url: str) -> dict[str, Any]:
    """Say which chunks hold the bytes *span* (the last one included) of a file, and where."""
    first, behind = span[0] // _CHUNK, span[1] // _CHUNK + 1
    size = path.stat().st_size
    terms: list[dict[str, Any]] = []
    fetch: dict[str, Any] = {}
    while first < behind:
        xorb, begin = divmod(first, _CHUNKS_IN_A_XORB)
        end = min(behind - first + begin, _CHUNKS_IN_A_XORB)
        count = end - begin
        length = min((first + count) * _CHUNK, size) - first * _CHUNK
        chunks = {"start": begin, "end": end}
        start = begin * (_CHUNK + _HEADER)
        bytes_of = {"start": start, "end": start + length + count * _HEADER - 1}
        terms.append({"hash": f"{xorb:064x}", "unpacked_length": length, "range": chunks})
        fetch[f"{xorb:064x}"] = [{"range": chunks, "url": f"{url}/{xorb}", "url_range": bytes_of}]
        first += count
    return {"offset_into_first_range": span[0] % _CHUNK, "terms": terms, "fetch_info": fetch}


def chunks(path: Path, xorb: int, span: tuple[int, int]) -> Iterator[bytes]:
    """Give the chunks that lie in the bytes *span* of a xorb."""
    left = span[1] - span[0] + 1
    with path.open("rb") as file:
        file.seek((xorb * _CHUNKS_IN_A_XORB + span[0] // (_CHUNK + _HEADER)) * _CHUNK)
        while left > 0:
            chunk = file.read(_CHUNK)
            length = len(chunk).to_bytes(3, "little")
            yield b"\0" + length + b"\0" + length + chunk
            left -= len(chunk) + _HEADER
