"""A picture from the web, where a person names its address: one request, to that host alone.

It goes through the hub library's client, and so obeys its proxies and certificates; neither
HF_TOKEN nor anything else of a hub's goes along.
"""

from __future__ import annotations

from urllib.parse import urlsplit

import httpx2
from huggingface_hub import get_session

from qwenpick import __version__
from qwenpick.errors import PullError, UsageError
from qwenpick.pull.failures import host_of
from qwenpick.pull.sources import http
from qwenpick.units import download

_HINT = "Check the address in a browser, or fetch it yourself and name the file."
_SECONDS = 30.0


def fetch(url: str, *, largest: int) -> bytes:
    """Get what is at an address, up to *largest* bytes.

    Raises:
        UsageError: It is no address, or there is more at it.
        PullError: It can't be had.
    """
    host = _host(url)
    if http.offline():
        raise PullError(
            f"HF_HUB_OFFLINE is set, and so {host} is not asked.",
            hint="Unset HF_HUB_OFFLINE, or name a file.",
        )
    data = bytearray()
    try:
        with get_session().stream(
            "GET",
            url,
            headers={"User-Agent": f"qwenpick/{__version__}"},
            timeout=_SECONDS,
            follow_redirects=True,
        ) as answer:
            if answer.is_error:
                status = answer.status_code
                raise PullError(f"{host} answers {status} for this picture.", hint=_HINT)
            for chunk in answer.iter_bytes():
                data += chunk
                if len(data) > largest:
                    raise UsageError(
                        f"What {host} sends is larger than {download(largest)}.",
                        hint="A picture is a jpeg, png, webp or gif.",
                    )
    except (httpx2.InvalidURL, httpx2.UnsupportedProtocol):
        raise _no_address(url) from None
    except httpx2.HTTPError as error:
        message = http.cause(error, url, what="this picture").message
        raise PullError(message, hint=_HINT) from None
    return bytes(data)


def _host(url: str) -> str:
    try:
        named = urlsplit(url).hostname
    except ValueError:
        named = None
    if not named:
        raise _no_address(url)
    return host_of(url)


def _no_address(url: str) -> UsageError:
    return UsageError(f"{url} is no address.", hint=_HINT)
