"""HTTP, the same for every hub: asks, streams bytes from an offset, and tells why it failed.

The only file that knows httpx2, whose client obeys proxies and certificates of the environment.
Every answer is bounded: in bytes, in seconds, in redirects; a token goes to its own host alone.
"""

from __future__ import annotations

import socket
import ssl
import time
from functools import cache
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urljoin, urlsplit
from urllib.request import getproxies

import httpx2

from qwenpick import __version__, files, hub_env
from qwenpick.errors import PullError, UsageError
from qwenpick.pull import failures
from qwenpick.pull.failures import KEPT, MANY, HubError, host_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

T = TypeVar("T")

STALL_SECONDS = 30.0
CONNECT_SECONDS = 10.0
_ANSWER_BYTES = 32 << 20
"""Of one JSON document: a listing of 10,000 files has 4 MB."""
_ANSWER_SECONDS = 120.0
_REDIRECTS = 5
_REDIRECT_CODES = frozenset({301, 302, 303, 307, 308})


@cache
def client() -> httpx2.Client:
    """Give the one client of this process.

    Raises:
        PullError: The environment names a proxy or a certificate that cannot be used.
    """
    hub_env.check_connection()
    try:
        return httpx2.Client(headers={"User-Agent": f"qwenpick/{__version__}"})
    except (httpx2.InvalidURL, OSError, ValueError):
        raise PullError(
            "Cannot use the network settings of the environment.",
            hint="Check SSL_CERT_FILE, SSL_CERT_DIR, HTTPS_PROXY and NO_PROXY.",
        ) from None


def check_online() -> None:
    """Check that asking is allowed.

    Raises:
        HubError: HF_HUB_OFFLINE is set.
    """
    if hub_env.offline():
        raise HubError(
            "HF_HUB_OFFLINE is set, and this file is not installed.",
            hint="Unset HF_HUB_OFFLINE to download it. See installed models: qwenpick list",
            unreachable=True,
        )


def get(
    url: str, kind: type[T], *, what: str, headers: Mapping[str, str]
) -> tuple[T, Mapping[str, str]]:
    """Get a JSON document as *kind*, and the headers that came with it.

    Args:
        url: Its address; redirects are followed on the same host alone.
        kind: What the document should be, for msgspec.
        what: The repository or file, for messages.
        headers: What the hub wants to see.

    Raises:
        HubError: By its cause.
    """
    check_online()
    deadline = time.monotonic() + _ANSWER_SECONDS
    try:
        for _ in range(_REDIRECTS):
            with client().stream("GET", url, headers=headers, timeout=_timeout()) as answer:
                if target := _same_host(answer, url):
                    url = target
                    continue
                if error := failures.refused(answer.status_code, answer.headers, url, what=what):
                    raise error
                body = _body(answer, deadline, url, what)
                return files.decode(body, kind, what=what), answer.headers
    except httpx2.InvalidURL:
        raise _unexpected(url, what) from None
    except httpx2.HTTPError as error:
        raise cause(error, url, what=what) from None
    except UsageError:
        raise _unexpected(url, what) from None
    raise _circle(url)


def head(url: str, *, what: str, headers: Mapping[str, str]) -> Mapping[str, str]:
    """Get the headers of an address: those of the redirect that leaves its host, if one does.

    A `status` among them is the code of that answer.

    Raises:
        HubError: By its cause.
    """
    check_online()
    asked = {**headers, "Accept-Encoding": "identity"}
    try:
        for _ in range(_REDIRECTS):
            answer = client().head(url, headers=asked, timeout=_timeout())
            if target := _same_host(answer, url):
                url = target
                continue
            if error := failures.refused(answer.status_code, answer.headers, url, what=what):
                raise error
            return {**dict(answer.headers), "status": str(answer.status_code)}
    except httpx2.InvalidURL:
        raise _unexpected(url, what) from None
    except httpx2.HTTPError as error:
        raise cause(error, url, what=what) from None
    raise _circle(url)


def status(url: str, *, headers: Mapping[str, str], seconds: float) -> int:
    """Ask for a document, and give the status code of the answer.

    Raises:
        HubError: Nobody answers, or a server that is out of order.
    """
    try:
        with client().stream("GET", url, headers=headers, timeout=seconds) as answer:
            code: int = answer.status_code
            if code >= httpx2.codes.INTERNAL_SERVER_ERROR and (
                error := failures.refused(code, answer.headers, url, what="")
            ):
                raise error
            return code
    except httpx2.HTTPError as error:
        raise cause(error, url, what="this address") from None


def _same_host(answer: httpx2.Response, url: str) -> str | None:
    """Give where a redirect leads to, if that is the host that was asked."""
    location = answer.headers.get("location", "")
    if answer.status_code not in _REDIRECT_CODES or not location:
        return None
    target = urljoin(url, location)
    return target if same_origin(target, url) else None


def same_origin(one: str, other: str) -> bool:
    """Tell whether two addresses have the same scheme, host and port."""
    origins = []
    for url in (one, other):
        try:
            parts = urlsplit(url)
            origins.append((parts.scheme, parts.hostname, parts.port))
        except ValueError:
            return False
    return origins[0] == origins[1]


def _body(answer: httpx2.Response, deadline: float, url: str, what: str) -> bytes:
    """Read an answer up to its bounds in bytes and seconds."""
    data = bytearray()
    for chunk in answer.iter_bytes():
        data += chunk
        if len(data) > _ANSWER_BYTES or time.monotonic() > deadline:
            raise _unexpected(url, what)
    return bytes(data)


def _unexpected(url: str, what: str) -> HubError:
    return HubError(
        f"Unexpected reply from {host_of(url)} for {what}: not a Hugging Face endpoint?",
        hint="Check HF_ENDPOINT, and whether a login page of the network answers.",
    )


def _circle(url: str) -> HubError:
    return HubError(
        f"{host_of(url)} redirects in a circle.",
        hint="Check HF_ENDPOINT: is it a hub's address?",
    )


def stream(
    url: str, *, what: str, headers: Mapping[str, str], span: tuple[int, int]
) -> Iterator[bytes]:
    """Give the bytes of a file from an offset on; they may end early.

    Args:
        url: Where the file is; redirects are followed, and credentials stay behind.
        what: The file, for messages.
        headers: What the hub wants to see.
        span: The offset, and the length of the whole file.

    Raises:
        HubError: By its cause; nothing of an answer that is not the file is given.
    """
    offset, total = span
    asked = {**headers, "Accept-Encoding": "identity"}
    if offset:
        asked["Range"] = f"bytes={offset}-"
    try:
        with client().stream(
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
    return _failed(error, url, what)


def _failed(error: Exception, url: str, what: str) -> HubError:
    host = host_of(url)
    if isinstance(error, httpx2.TooManyRedirects):
        return _circle(url)
    if isinstance(error, httpx2.ReadTimeout):
        return HubError(
            f"{host} stopped sending: no byte for {stall_seconds():.0f} s.",
            hint=KEPT,
            retries=1,
            wait=0.0,
        )
    if isinstance(error, httpx2.HTTPError):
        return HubError(f"The connection to {host} broke.", hint=KEPT, retries=MANY)
    return _unexpected(url, what)


def _unreached(error: Exception, url: str) -> HubError:
    host = host_of(url)
    proxy = getproxies().get(url.partition(":")[0])
    reasons = list(_reasons(error))
    if any(isinstance(reason, ssl.SSLError) for reason in reasons):
        return HubError(
            f"The certificate of {host} cannot be trusted.",
            hint="Behind a company's proxy: set SSL_CERT_FILE to its certificate.",
        )
    if isinstance(error, httpx2.ProxyError) or proxy:
        name = host_of(proxy) if proxy else "the proxy"
        message, hint = (
            f"The proxy {name} refuses the connection to {host}.",
            ("Check HTTPS_PROXY, HTTP_PROXY and NO_PROXY."),
        )
    elif any(isinstance(reason, socket.gaierror) for reason in reasons):
        message, hint = (
            f"Cannot find {host} (DNS).",
            ("Check the network, or set HF_ENDPOINT to a mirror."),
        )
    elif isinstance(error, httpx2.ConnectTimeout):
        message, hint = f"{host} does not answer.", "Check the network or a firewall."
    elif any(isinstance(reason, ConnectionRefusedError) for reason in reasons):
        message, hint = (
            f"{host} refuses the connection.",
            ("Check the network and HF_ENDPOINT."),
        )
    else:
        message, hint = f"Cannot reach {host}: is the network up?", "Check the network."
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
    if answer.status_code != httpx2.codes.PARTIAL_CONTENT:
        length = failures.number(headers.get("content-length"))
        if length is not None and length != total:
            raise failures.wrong_length(url, what=what, promised=total, sent=length)
        return 0
    begin, _, whole = headers.get("content-range", "").removeprefix("bytes ").partition("/")
    length, first = failures.number(whole), begin.partition("-")[0]
    if length is not None and length != total:
        raise failures.wrong_length(url, what=what, promised=total, sent=length)
    asked = answer.request.headers.get("range", "").removeprefix("bytes=").rstrip("-")
    if first != (asked or "0"):
        raise failures.no_model(url, what=what, because="other bytes")
    return int(first)


def stall_seconds() -> float:
    """Give how long a connection may be silent; HF_HUB_DOWNLOAD_TIMEOUT sets it."""
    return hub_env.seconds("HF_HUB_DOWNLOAD_TIMEOUT", STALL_SECONDS)


def _timeout() -> httpx2.Timeout:
    stall = stall_seconds()
    return httpx2.Timeout(stall, connect=min(CONNECT_SECONDS, stall))
