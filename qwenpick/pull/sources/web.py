"""An image from the web, where a person names its address: one request, to that host alone.

It goes through the client of the hubs, and so obeys their proxies and certificates; no token
goes along. Of an address, only the host is repeated in a message: the rest may be secret.
"""

from __future__ import annotations

import time
from urllib.parse import urljoin, urlsplit

import httpx2

from qwenpick import hub_env
from qwenpick.errors import PullError, UsageError
from qwenpick.pull.failures import host_of
from qwenpick.pull.sources import http
from qwenpick.units import download

_HINT = "Check the address in a browser, or download it yourself and name the file."
_SECONDS = 30.0
_REDIRECTS = 5
_WHOLE_SECONDS = 300.0


def fetch(url: str, *, largest: int) -> bytes:
    """Get what is at an address, up to *largest* bytes.

    Raises:
        UsageError: It is not an address, or there is more at it.
        PullError: It cannot be downloaded.
    """
    host = _host(url)
    if hub_env.offline():
        raise PullError(
            f"HF_HUB_OFFLINE is set, so {host} is not asked.",
            hint="Unset HF_HUB_OFFLINE, or name a file.",
        )
    try:
        for _ in range(_REDIRECTS):
            with http.client().stream("GET", url, timeout=_SECONDS) as answer:
                if not answer.is_redirect:
                    return _body(answer, host, largest)
                url = urljoin(url, answer.headers.get("location", ""))
                if urlsplit(url).hostname != urlsplit(str(answer.request.url)).hostname:
                    raise PullError(
                        f"{host} redirects to another host, which is not asked.", hint=_HINT
                    )
    except (httpx2.InvalidURL, httpx2.UnsupportedProtocol, ValueError):
        raise _not_an_address() from None
    except httpx2.HTTPError as error:
        message = http.cause(error, url, what="this image").message
        raise PullError(message, hint=_HINT) from None
    raise PullError(f"{host} redirects in a circle.", hint=_HINT)


def _body(answer: httpx2.Response, host: str, largest: int) -> bytes:
    """Read an answer up to its bounds in bytes and seconds."""
    if answer.is_error:
        raise PullError(f"{host} answers {answer.status_code} for this image.", hint=_HINT)
    data, deadline = bytearray(), time.monotonic() + _WHOLE_SECONDS
    for chunk in answer.iter_bytes():
        data += chunk
        if len(data) > largest:
            raise UsageError(
                f"The file at {host} is larger than {download(largest)}.",
                hint="An image is a jpeg, png, webp or gif.",
            )
        if time.monotonic() > deadline:
            raise PullError(f"{host} sends this image too slowly.", hint=_HINT)
    return bytes(data)


def _host(url: str) -> str:
    try:
        named = urlsplit(url).hostname
    except ValueError:
        named = None
    if not named:
        raise _not_an_address()
    return host_of(url)


def _not_an_address() -> UsageError:
    return UsageError("That is not a web address.", hint=_HINT)
