"""HTTP, the same for every hub: asks, streams bytes from an offset, and tells why it failed.

The only file that knows httpx2; the client is the hub library's own, and so obeys its proxies
and certificates.
"""

from __future__ import annotations

import os
import socket
import ssl
from typing import TYPE_CHECKING
from urllib.request import getproxies

import httpx2

from qwenpick.pull import failures
from qwenpick.pull.failures import KEPT, MANY, HubError, host_of

if TYPE_CHECKING:
    from collections.abc import Iterator

STALL_SECONDS = 30.0
CONNECT_SECONDS = 10.0


def offline() -> bool:
    """Tell whether HF_HUB_OFFLINE forbids to ask anyone."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "TRUE", "YES", "ON"}


def check_line() -> None:
    """Check that asking is allowed.

    Raises:
        HubError: HF_HUB_OFFLINE is set.
    """
    if offline():
        raise HubError(
            "HF_HUB_OFFLINE is set, and this file is not here.",
            hint="Unset HF_HUB_OFFLINE to fetch it; qwenpick list shows what is here.",
            unreachable=True,
        )


def ask(client: httpx2.Client, url: str, *, what: str, headers: dict[str, str]) -> object:
    """Get a JSON document.

    Raises:
        HubError: By its cause.
    """
    check_line()
    try:
        answer = client.get(url, headers=headers, timeout=_timeout())
        if error := failures.refused(answer.status_code, answer.headers, url, what=what):
            raise error
        document: object = answer.json()
    except (httpx2.HTTPError, ValueError) as error:
        raise cause(error, url, what=what) from None
    return document


def status(client: httpx2.Client, url: str, *, headers: dict[str, str], seconds: float) -> int:
    """Ask for a document, and give the status code of the answer.

    Raises:
        HubError: Nobody answers, or a server that is out of order.
    """
    try:
        with client.stream("GET", url, headers=headers, timeout=seconds) as answer:
            code: int = answer.status_code
            if code >= httpx2.codes.INTERNAL_SERVER_ERROR and (
                error := failures.refused(code, answer.headers, url, what="")
            ):
                raise error
            return code
    except (httpx2.HTTPError, ValueError) as error:
        raise cause(error, url, what="this address") from None


def stream(
    client: httpx2.Client,
    url: str,
    *,
    what: str,
    headers: dict[str, str],
    span: tuple[int, int],
) -> Iterator[bytes]:
    """Give the bytes of a file from an offset on; they may end early.

    Args:
        client: The hub library's.
        url: Where the file is; redirects are followed, and credentials stay behind.
        what: The file, for messages.
        headers: What the hub wants to see.
        span: The offset, and the length of the whole file.

    Raises:
        HubError: By its cause; nothing of an answer that is not the file is given.
    """
    offset, total = span
    asked = headers | {"Accept-Encoding": "identity"}
    if offset:
        asked["Range"] = f"bytes={offset}-"
    try:
        with client.stream(
            "GET", url, headers=asked, timeout=_timeout(), follow_redirects=True
        ) as answer:
            if error := failures.refused(answer.status_code, answer.headers, url, what=what):
                raise error
            skip = offset - _begins(answer, total, url, what)
            for chunk in answer.iter_raw():
                kept, skip = chunk[skip:], max(skip - len(chunk), 0)
                if kept:
                    yield kept
    except httpx2.HTTPError as error:
        raise cause(error, url, what=what) from None


def cause(error: Exception, url: str, *, what: str) -> HubError:
    """Say what a failed exchange failed from."""
    answer = getattr(error, "response", None)
    if answer is not None and (
        said := failures.refused(answer.status_code, answer.headers, url, what=what)
    ):
        return said
    if isinstance(error, (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError)):
        return _unreached(error, url)
    return _failed(error, host_of(url), what)


def _failed(error: Exception, host: str, what: str) -> HubError:
    if isinstance(error, HubError):
        return error
    if isinstance(error, httpx2.TooManyRedirects):
        return HubError(
            f"{host} sends us in a circle (too many redirects).",
            hint="Check HF_ENDPOINT: is it a hub's address?",
        )
    if isinstance(error, httpx2.ReadTimeout):
        return HubError(
            f"{host} has gone silent: no byte for {stall_seconds():.0f} s.",
            hint=KEPT,
            retries=1,
            wait=0.0,
        )
    if isinstance(error, httpx2.HTTPError):
        return HubError(f"The line to {host} broke.", hint=KEPT, retries=MANY)
    return HubError(
        f"{host} does not speak as a hub does about {what}.",
        hint="Check HF_ENDPOINT, and whether a login page of the network answers.",
    )


def _unreached(error: Exception, url: str) -> HubError:
    host = host_of(url)
    proxy = getproxies().get(url.partition(":")[0])
    reasons = list(_reasons(error))
    if any(isinstance(reason, ssl.SSLError) for reason in reasons):
        return HubError(
            f"The certificate of {host} can't be trusted.",
            hint="Behind a company's proxy: set SSL_CERT_FILE to its certificate.",
        )
    if isinstance(error, httpx2.ProxyError) or proxy:
        name = host_of(proxy) if proxy else "the proxy"
        message, hint = (
            f"The proxy {name} does not let us through to {host}.",
            ("Check HTTPS_PROXY, HTTP_PROXY and NO_PROXY."),
        )
    elif any(isinstance(reason, socket.gaierror) for reason in reasons):
        message, hint = (
            f"There is no address for {host} (DNS).",
            ("Check the network, or set HF_ENDPOINT to a mirror."),
        )
    elif isinstance(error, httpx2.ConnectTimeout):
        message, hint = f"{host} does not answer.", "Check the network or a firewall."
    elif any(isinstance(reason, ConnectionRefusedError) for reason in reasons):
        message, hint = (
            f"Nothing answers at {host} (connection refused).",
            ("Check the network and HF_ENDPOINT."),
        )
    else:
        message, hint = f"There is no way to {host}: is the network up?", "Check the network."
    return HubError(message, hint=hint, unreachable=True)


def _reasons(error: BaseException) -> Iterator[BaseException]:
    """Go down the chain of what an error was made from."""
    reason: BaseException | None = error
    while reason is not None:
        yield reason
        reason = reason.__cause__ or reason.__context__


def _begins(answer: httpx2.Response, total: int, url: str, what: str) -> int:
    """Tell at which byte an answer begins, having checked that it is of this file."""
    headers = answer.headers
    if "html" in headers.get("content-type", ""):
        raise failures.no_model(url, what=what, because="a web page")
    length = headers.get("content-length", "")
    if answer.status_code != httpx2.codes.PARTIAL_CONTENT:
        if length.isdigit() and int(length) != total:
            raise failures.wrong_length(url, what=what, promised=total, sent=int(length))
        return 0
    begin, _, whole = headers.get("content-range", "").removeprefix("bytes ").partition("/")
    first = begin.partition("-")[0]
    if whole.isdigit() and int(whole) != total:
        raise failures.wrong_length(url, what=what, promised=total, sent=int(whole))
    asked = answer.request.headers.get("range", "").removeprefix("bytes=").rstrip("-")
    if first != (asked or "0"):
        raise failures.no_model(url, what=what, because="other bytes")
    return int(first)


def stall_seconds() -> float:
    """Give how long a line may be silent; HF_HUB_DOWNLOAD_TIMEOUT sets it, as for hub tools."""
    named = os.environ.get("HF_HUB_DOWNLOAD_TIMEOUT", "")
    return float(named) if named.isdigit() and int(named) else STALL_SECONDS


def _timeout() -> httpx2.Timeout:
    stall = stall_seconds()
    return httpx2.Timeout(stall, connect=min(CONNECT_SECONDS, stall))
