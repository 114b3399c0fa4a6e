"""What can go wrong between a hub and the disk, by cause, with what to do next.

    HubError (a PullError)
        retries       how many more tries in a row it is worth, each after `wait` seconds where
                      the hub named some
        unreachable   no hub answered at all, so that another source may

Addresses are shown without user, password and query, which may be secret.
"""

from __future__ import annotations

import errno
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from qwenpick.errors import PullError
from qwenpick.units import download

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

KEPT = "The partial download is saved: run the same command again to continue."

MANY = 4
"""Retries that a failure is worth which mostly passes."""

_PASSING = {408, 429, 500, 502, 503, 504}
"""Too slow, too many, broken: what the hub's own library tries again, too."""


class HubError(PullError):
    """The hub or the connection to it failed."""

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


def refused(status: int, headers: Mapping[str, str], url: str, *, what: str) -> HubError | None:
    """Say why a hub refused; None where it did not.

    Args:
        status: The status code of its answer.
        headers: Its headers; hubs name the cause in X-Error-Code.
        url: What was asked.
        what: The repository or file, for the message.
    """
    host = host_of(url)
    if status < 400:  # noqa: PLR2004 - where HTTP's errors begin
        return None
    code = headers.get("x-error-code", "")
    if status in _PASSING:
        return _busy(status, headers, host)
    if code == "GatedRepo":
        return HubError(
            f"{what} is gated: its owner grants access on request ({status}).",
            hint=f"Ask for access on its page at {host}, then set HF_TOKEN and try again.",
        )
    if code == "RevisionNotFound":
        return HubError(
            f"{host} has {what}, but not this revision.",
            hint="Is HF_ENDPOINT a mirror that lags? Unset it, or see: qwenpick pull --refresh",
        )
    if code == "EntryNotFound":
        return HubError(
            f"{host} has no file {what}.",
            hint="The name may have changed: give the quantisation (owner/repo:Q4_K_M).",
        )
    return _by_status(status, host, what)


def _busy(status: int, headers: Mapping[str, str], host: str) -> HubError:
    wait = number(headers.get("retry-after"))
    if status == 429:  # noqa: PLR2004 - too many requests
        asked = f"; it asks to wait {wait:.0f} s" if wait else ""
        return HubError(
            f"{host} refuses: too many requests (429){asked}.",
            hint=f"Wait, or set HF_TOKEN: more requests are allowed with one. {KEPT}",
            retries=MANY,
            wait=wait,
        )
    return HubError(
        f"{host} has a problem (it answers {status}).",
        hint=f"Try again later. {KEPT}",
        retries=MANY,
        unreachable=True,
        wait=wait,
    )


def _by_status(status: int, host: str, what: str) -> HubError:
    said = {
        401: (
            f"{host} denies access to {what} (401): it is private, or does not exist.",
            "Check the spelling, and HF_TOKEN if it is private.",
        ),
        403: (
            f"{host} denies access to {what} (403).",
            "Check what your HF_TOKEN gives access to.",
        ),
        404: (
            f"{host} has no {what} (404).",
            "Check the spelling; a private repository needs HF_TOKEN.",
        ),
        416: (
            f"{host} cannot continue {what} (416): its file is shorter.",
            "Try again later, or another source or mirror. The partial download is saved.",
        ),
    }
    message, hint = said.get(
        status, (f"{host} refuses {what} ({status}).", "Check HF_ENDPOINT and the spelling.")
    )
    return HubError(message, hint=hint)


def no_size(name: str) -> HubError:
    """Say that a hub does not give a file's length, without which nothing can be checked."""
    return HubError(f"The hub does not give the size of {name}.", hint="Try another mirror.")


def no_model(url: str, *, what: str, because: str) -> HubError:
    """Say that an answer came which is not the file."""
    return HubError(
        f"{host_of(url)} sent {because} in place of {what}.",
        hint="A login page of the network? Open a browser, then try again. "
        "The partial download is saved.",
    )


def wrong_length(url: str, *, what: str, promised: int, sent: int) -> HubError:
    """Say that a hub's figures contradict each other."""
    return HubError(
        f"{host_of(url)} promised {promised:,} bytes of {what}, and now says {sent:,}.",
        hint="Try again later, or another source or mirror. The partial download is saved.",
    )


def by_disk(error: OSError, path: Path) -> PullError:
    """Say what the disk refused."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return PullError(f"The disk is full: {path}.", hint=f"Free some space. {KEPT}")
    if error.errno == errno.EROFS:
        return PullError(
            f"Cannot write to the Hugging Face cache: the disk of {error.filename or path} is "
            "read-only.",
            hint="Set HF_HOME to a folder on another disk.",
        )
    if error.errno in {errno.EACCES, errno.EPERM}:
        return PullError(
            f"Cannot write to the Hugging Face cache: no permission for {error.filename or path}.",
            hint="Set HF_HOME to a folder of your own, or correct its permissions.",
        )
    return PullError(
        f"Cannot write {path}: {error.strerror or error}.",
        hint="Check the disk, or set HF_HOME to another one.",
    )


def no_room(missing: int, free: int, into: str) -> PullError:
    """Say that the disk is too small, before the first byte."""
    return PullError(
        f"Not enough disk space: {download(missing)} to download, {download(free)} free on {into}.",
        hint="Free some space (qwenpick list, qwenpick rm), or set HF_HOME to another disk.",
    )
