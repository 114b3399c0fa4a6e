"""What can go wrong between a hub and the disk: one message for each cause, with what to do next.

Addresses are shown without user, password and query, which may be secret.
"""

from __future__ import annotations

import errno
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from qwenpick.errors import PullError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

KEPT = "The partial download is saved: run the same command again to continue."
ELSEWHERE = "Try again later, or another source or mirror. The partial download is saved."

MANY = 4
"""Retries that a failure is worth which mostly passes."""

_TOO_MANY = 429
_PASSING = {408, _TOO_MANY, 500, 502, 503, 504}
"""Too slow, too many, broken: what the hub's own library tries again, too."""

_REFUSALS: dict[str | int, tuple[str, str]] = {
    "GatedRepo": (
        "{what} is gated: its owner grants access on request ({status}).",
        "Ask for access on its page at {host}, then set HF_TOKEN and try again.",
    ),
    "RevisionNotFound": (
        "{host} has {what}, but not this revision.",
        "Is HF_ENDPOINT a mirror that lags? Unset it, or see: qwenpick pull --refresh",
    ),
    "EntryNotFound": (
        "{host} has no file {what}.",
        "The name may have changed: give the quantisation (owner/repo:Q4_K_M).",
    ),
    401: (
        "{host} denies access to {what} (401): it is private, or does not exist.",
        "Check the spelling, and HF_TOKEN if it is private.",
    ),
    403: ("{host} denies access to {what} (403).", "Check what your HF_TOKEN gives access to."),
    404: (
        "{host} has no {what} (404).",
        "Check the spelling; a private repository needs HF_TOKEN.",
    ),
    416: ("{host} cannot continue {what} (416): its file is shorter.", ELSEWHERE),
    _TOO_MANY: (
        "{host} refuses: too many requests (429).",
        f"Wait, or set HF_TOKEN: more requests are allowed with one. {KEPT}",
    ),
}
"""By the cause that a hub names in X-Error-Code, else by the status code of its answer."""


class HubError(PullError):
    """The hub or the connection to it failed.

    Attributes:
        retries: How many more tries in a row it is worth.
        unreachable: No hub answered at all, so that another source may.
        wait: Seconds before the next try, where the hub names some.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str,
        retries: int = 0,
        unreachable: bool = False,
        wait: float | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.retries = retries
        self.unreachable = unreachable
        self.wait = wait


def number(text: str | None) -> int | None:
    """Read a whole number of a header: up to 15 ASCII digits, None for anything else."""
    digits = (text or "").strip()
    return int(digits) if re.fullmatch(r"[0-9]{1,15}", digits) else None


def host_of(url: str) -> str:
    """Give an address's host and port, and nothing that may be secret."""
    parts = urlsplit(url)
    try:
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        port = ""
    return f"{parts.hostname or 'the hub'}{port}"


def refused(status: int, headers: Mapping[str, str], url: str, *, what: str) -> HubError:
    """Say why a hub refused.

    Args:
        status: The status code of its answer, 400 or more.
        headers: Its headers.
        url: What was asked.
        what: The repository or file, for the message.
    """
    passing, host = status in _PASSING, host_of(url)
    code = headers.get("x-error-code", "")
    key = status if passing or code not in _REFUSALS else code
    usual = (
        ("{host} has a problem (it answers {status}).", f"Try again later. {KEPT}")
        if passing
        else ("{host} refuses {what} ({status}).", "Check HF_ENDPOINT and the spelling.")
    )
    message, hint = (
        text.format(host=host, what=what, status=status) for text in _REFUSALS.get(key, usual)
    )
    wait = number(headers.get("retry-after")) if passing else None
    return HubError(
        f"{message} It asks to wait {wait} s." if wait else message,
        hint=hint,
        retries=MANY if passing else 0,
        unreachable=passing and status != _TOO_MANY,
        wait=wait,
    )


def by_disk(error: OSError, path: Path) -> PullError:
    """Say what the disk refused."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return PullError(f"The disk is full: {path}.", hint=f"Free some space. {KEPT}")
    why = (error.strerror or str(error)).lower()
    return PullError(
        f"Cannot write to the Hugging Face cache: {why} ({error.filename or path}).",
        hint="Check its permissions and the disk, or set HF_HOME to another folder.",
    )
