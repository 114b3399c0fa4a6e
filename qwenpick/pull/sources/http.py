"""HTTP, the same for every hub: asks, streams bytes from an offset, and tells why it failed.

The only file that knows httpx2, whose client obeys proxies and certificates of the environment.
Every answer is bounded: in bytes, in seconds, in redirects; a token goes to its own host alone.
"""

from __future__ import annotations

import socket
import ssl
import time
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urljoin, urlsplit
from urllib.request import getproxies

import httpx2

from qwenpick import __version__, files, hub_env
from qwenpick.errors import PullError, UsageError
from qwenpick.pull import failures
from qwenpick.pull.failures import ELSEWHERE, KEPT, MANY, HubError, host_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

T = TypeVar("T")

STALL_SECONDS = 30.0
CONNECT_SECONDS = 10.0
CHECK = "Check HF_ENDPOINT, and whether a login page of the network answers."
_ANSWER_BYTES = 32 << 20
"""Of one JSON document: a listing of 10,000 files has 4 MB."""
_ANSWER_SECONDS = 120.0
_REDIRECTS = 5
_UNREACHED = (
    (socket.gaierror, "Cannot find {host} (DNS).", "or set HF_ENDPOINT to a mirror."),
    (ConnectionRefusedError, "{host} refuses the connection.", "and HF_ENDPOINT."),
    (Exception, "Cannot reach {host}.", "and its firewall."),
)
"""Why there is no connection, and what to check beside the network."""


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


def is_address(url: str) -> bool:
    """Tell whether a text is an address with a host."""
    try:
        return bool(httpx2.URL(url).host and urlsplit(url).hostname)
    except (httpx2.InvalidURL, ValueError):
        return False


def get(
    url: str, kind: type[T], *, what: str, headers: Mapping[str, str]
) -> tuple[T, Mapping[str, str]]:
    """Get a JSON document as *kind*, and the headers that came with it.

    Raises:
        HubError: By its cause; also where the document is of another kind, or too large.
    """
    answer = fetch(url, what=what, headers=headers, limit=_ANSWER_BYTES)
    if answer:
        body, came = answer
        try:
            return files.decode(body, kind, what=what), came
        except UsageError:
            pass
    raise HubError(
        f"Unexpected reply from {host_of(url)} for {what}: not a Hugging Face endpoint?", hint=CHECK
    )


def fetch(
    url: str, *, what: str, headers: Mapping[str, str], limit: int, seconds: float = _ANSWER_SECONDS
) -> tuple[bytes, Mapping[str, str]] | None:
    """Get a whole answer and its headers; None where it has more bytes than *limit*.

    Args:
        url: Its address; redirects are followed on the same host alone.
        what: The repository or file, for messages.
        headers: What the hub wants to see.
        limit: The most bytes that it may have.
        seconds: The longest that it may take.

    Raises:
        HubError: By its cause.
    """
    data, deadline = bytearray(), time.monotonic() + seconds
    with _answer("GET", url, what=what, headers=headers) as answer:
        if answer.is_redirect:
            raise HubError(
                f"{host_of(url)} redirects to another host, which is not asked.", hint=CHECK
            )
        for chunk in answer.iter_bytes():
            data += chunk
            if len(data) > limit:
                return None
            if time.monotonic() > deadline:
                raise HubError(f"{host_of(url)} sends {what} too slowly.", hint=CHECK)
        return bytes(data), answer.headers


def head(url: str, *, what: str, headers: Mapping[str, str]) -> Mapping[str, str]:
    """Get the headers of an address: those of the redirect that leaves its host, if one does.

    A `status` among them is the code of that answer.

    Raises:
        HubError: By its cause.
    """
    asked = {**headers, "Accept-Encoding": "identity"}
    with _answer("HEAD", url, what=what, headers=asked) as answer:
        return {**dict(answer.headers), "status": str(answer.status_code)}


def status(url: str, *, headers: Mapping[str, str], seconds: float) -> int:
    """Ask for a document, and give the status code of the answer.

    Raises:
        HubError: Nobody answers, or a server that is out of order.
    """
    try:
        with client().stream("GET", url, headers=headers, timeout=seconds) as answer:
            if answer.is_server_error:
                raise failures.refused(answer.status_code, answer.headers, url, what="")
            return int(answer.status_code)
    except httpx2.HTTPError as error:
        raise _cause(error, url) from None


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
    offset, _ = span
    asked = {**headers, "Accept-Encoding": "identity"}
    if offset:
        asked["Range"] = f"bytes={offset}-"
    with _answer("GET", url, what=what, headers=asked, follow=True) as answer:
        skip = offset - _begins(answer, span, url, what)
        for chunk in answer.iter_raw():
            kept, skip = chunk[skip:], max(skip - len(chunk), 0)
            if kept:
                yield kept


@contextmanager
def _answer(
    method: str, url: str, *, what: str, headers: Mapping[str, str], follow: bool = False
) -> Iterator[httpx2.Response]:
    """Give the answer at an address: to any host where *follow* is set, else to its own."""
    if hub_env.offline():
        raise HubError(
            f"HF_HUB_OFFLINE is set, so {host_of(url)} is not asked.",
            hint="Unset HF_HUB_OFFLINE to download. See installed models: qwenpick list",
            unreachable=True,
        )
    stall = stall_seconds()
    timeout = httpx2.Timeout(stall, connect=min(CONNECT_SECONDS, stall))
    place = url
    try:
        for _ in range(_REDIRECTS):
            with client().stream(
                method, place, headers=headers, timeout=timeout, follow_redirects=follow
            ) as answer:
                target = urljoin(place, answer.headers.get("location", ""))
                if not (answer.has_redirect_location and _may_follow(target, place)):
                    if answer.is_error:
                        raise failures.refused(answer.status_code, answer.headers, url, what=what)
                    yield answer
                    return
            place = target
    except httpx2.HTTPError as error:
        raise _cause(error, url) from None
    except (httpx2.InvalidURL, ValueError):
        raise HubError(f"{host_of(url)} redirects to no address.", hint=CHECK) from None
    raise _circle(url)


def _may_follow(target: str, url: str) -> bool:
    """Tell whether a redirect stays on the host that was asked, or goes to its https."""
    host = urlsplit(url).hostname
    return same_origin(target, url) or same_origin(target, f"https://{host}")


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


def _circle(url: str) -> HubError:
    return HubError(
        f"{host_of(url)} redirects in a circle.", hint="Check HF_ENDPOINT: is it a hub's address?"
    )


def _cause(error: httpx2.HTTPError, url: str) -> HubError:
    """Say what a failed exchange failed from."""
    host = host_of(url)
    if isinstance(error, httpx2.TooManyRedirects):
        return _circle(url)
    if isinstance(error, httpx2.ReadTimeout):
        silent = f"{host} stopped sending: no byte for {stall_seconds():.0f} s."
        return HubError(silent, hint=KEPT, retries=1, wait=0.0)
    if isinstance(error, (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError)):
        return _unreached(error, url)
    return HubError(f"The connection to {host} broke.", hint=KEPT, retries=MANY)


def _unreached(error: httpx2.HTTPError, url: str) -> HubError:
    host = host_of(url)
    reasons: list[BaseException] = [error]
    while reason := reasons[-1].__cause__ or reasons[-1].__context__:
        reasons.append(reason)
    if any(isinstance(reason, ssl.SSLError) for reason in reasons):
        return HubError(
            f"The certificate of {host} cannot be trusted.",
            hint="Behind a company's proxy: set SSL_CERT_FILE to its certificate.",
        )
    proxy = getproxies().get(url.partition(":")[0])
    if isinstance(error, httpx2.ProxyError) or proxy:
        name = host_of(proxy) if proxy else "the proxy"
        return HubError(
            f"The proxy {name} refuses the connection to {host}.",
            hint="Check HTTPS_PROXY, HTTP_PROXY and NO_PROXY.",
            unreachable=True,
        )
    message, check = next(
        (message, check)
        for kind, message, check in _UNREACHED
        if any(isinstance(reason, kind) for reason in reasons)
    )
    return HubError(message.format(host=host), hint=f"Check the network, {check}", unreachable=True)


def _begins(answer: httpx2.Response, span: tuple[int, int], url: str, what: str) -> int:
    """Tell at which byte an answer begins, having checked that it is of this file."""
    offset, total = span
    begins, length = "0", answer.headers.get("content-length")
    if answer.status_code == httpx2.codes.PARTIAL_CONTENT:
        piece, _, length = (
            answer.headers.get("content-range", "").removeprefix("bytes ").partition("/")
        )
        begins = piece.partition("-")[0]
    web_page = "html" in answer.headers.get("content-type", "")
    if web_page or begins not in {"0", str(offset)}:
        sent = "a web page" if web_page else "other bytes"
        raise HubError(
            f"{host_of(url)} sent {sent} in place of {what}.",
            hint="A login page of the network? Open a browser, then try again. "
            "The partial download is saved.",
        )
    if failures.number(length) not in {None, total}:
        raise HubError(
            f"{host_of(url)} promised {total:,} bytes of {what}, and now has another number.",
            hint=ELSEWHERE,
        )
    return int(begins)


def stall_seconds() -> float:
    """Give how long a connection may be silent; HF_HUB_DOWNLOAD_TIMEOUT sets it."""
    return hub_env.seconds("HF_HUB_DOWNLOAD_TIMEOUT", STALL_SECONDS)
