"""An image from the web, where a person names its address: one request, to that host alone.

It goes through the client of the hubs, and so obeys their proxies and certificates; no token
goes along. Of an address, only the host is repeated in a message: the rest may be secret.
"""

from __future__ import annotations

from qwenpick.errors import PullError, UsageError
from qwenpick.pull.failures import HubError, host_of
from qwenpick.pull.sources import http
from qwenpick.units import download

_HINT = "Check the address in a browser, or download it yourself and name the file."
_SECONDS = 300.0


def fetch(url: str, *, largest: int) -> bytes:
    """Get what is at an address, up to *largest* bytes.

    Raises:
        UsageError: It is not an address, or there is more at it.
        PullError: It cannot be downloaded.
    """
    if not http.is_address(url):
        raise UsageError("That is not a web address.", hint=_HINT)
    what = "image at this address"
    try:
        answer = http.fetch(url, what=what, headers={}, limit=largest, seconds=_SECONDS)
    except HubError as error:
        raise PullError(error.message, hint=_HINT) from None
    if not answer:
        raise UsageError(
            f"The file at {host_of(url)} is larger than {download(largest)}.",
            hint="An image is a jpeg, png, webp or gif.",
        )
    return answer[0]
