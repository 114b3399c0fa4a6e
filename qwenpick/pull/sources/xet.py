"""Bytes from the hub's chunk store (xet), through its own client. The only file with hf_xet.

A window of the file at a time, some under way at once, given in order: so a pull goes on from any
byte, and hashes and writes as it does over HTTP. What is under way is lost in a kill, so windows
begin small and grow with what has come. Any failure ends the stream; the hub gives the same bytes
over HTTP.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as WaitedTooLong
from typing import TYPE_CHECKING

import hf_xet

from qwenpick.pull.failures import HubError
from qwenpick.pull.sources.http import CONNECT_SECONDS, stall_seconds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hf_xet import XetDownloadStreamGroup as Group

    from qwenpick.pull.sources.hub import XetAccess

_SMALLEST, _LARGEST = 1 << 19, 1 << 24
_SHARE = 0.2
"""What is under way is at most this part of what has come, or one small window."""
_AHEAD = 3


def stream(access: XetAccess, name: str, span: tuple[int, int]) -> Iterator[bytes]:
    """Give the bytes of a file from an offset on.

    Args:
        access: Where the store is.
        name: What the store calls the file.
        span: The offset, and the length of the whole file.

    Raises:
        HubError: The store cannot be used, or stopped.
    """
    pool = ThreadPoolExecutor(_AHEAD)
    session = None
    try:
        session = hf_xet.XetSession(_config())
        group = session.new_download_stream_group(
            endpoint=access.url, token=access.token, token_expiry_unix_secs=access.expires
        )
        yield from _in_order(pool, group, hf_xet.XetFileInfo(name, span[1]), span)
    except (OSError, RuntimeError, ValueError, WaitedTooLong):
        raise HubError("The hub's chunk store (xet) stopped.", hint="Try again.") from None
    finally:
        # Threads that wait for the line hold the process up, unless the session ends first.
        if session:
            session.sigint_abort()
        pool.shutdown(wait=False, cancel_futures=True)


def _in_order(
    pool: ThreadPoolExecutor, group: Group, info: hf_xet.XetFileInfo, span: tuple[int, int]
) -> Iterator[bytes]:
    """Keep windows under way, and give them one after the other."""
    (asked, total), came = span, 0
    given = asked
    under_way: deque[Future[bytes]] = deque()
    while given < total:
        step = min(max(came // 16, _SMALLEST), _LARGEST)
        room = asked - given + step <= came * _SHARE and len(under_way) < _AHEAD
        if asked < total and (room or not under_way):
            end = min(asked + step, total)
            under_way.append(pool.submit(_window, group, info, asked, end))
            asked = end
            continue
        window = under_way.popleft().result(timeout=stall_seconds())
        came += len(window)
        given += len(window)
        yield window


def _window(group: Group, info: hf_xet.XetFileInfo, start: int, end: int) -> bytes:
    window = b"".join(group.download_stream(info, start=start, end=end))
    if len(window) != end - start:
        raise ValueError(len(window))
    return window


def _config() -> hf_xet.XetConfig:
    """Set the client up: it tells nobody how the transfer went, and gives up as we do."""
    return hf_xet.XetConfig().with_config(
        {
            "telemetry.enabled": False,
            "client.connect_timeout": f"{CONNECT_SECONDS:.0f}s",
            "client.read_timeout": f"{stall_seconds():.0f}s",
            "client.retry_max_attempts": 1,
        }
    )
