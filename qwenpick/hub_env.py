"""The environment that every Hugging Face tool obeys, read here alone, at each call.

A variable that cannot be understood is named in one line; what it holds may be secret, so only
folders and addresses without a password are repeated. Asks no network.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from qwenpick import files
from qwenpick.errors import PullError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

ENDPOINT = "https://huggingface.co"
_TRUE = frozenset({"1", "ON", "YES", "TRUE"})
_PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")
_LONGEST_PATH, _LONGEST_TOKEN = 1024, 4096
_LEAST_SECONDS, _MOST_SECONDS = 1.0, 3600.0


def cache_root(environment: Mapping[str, str] | None = None) -> Path:
    """Give the folder of the hub cache, by huggingface_hub's rules; it may not exist yet.

    HF_HUB_CACHE, else `hub` in HF_HOME, else `huggingface/hub` in XDG_CACHE_HOME or ~/.cache.

    Raises:
        UsageError: The variable does not name a folder.
    """
    values = os.environ if environment is None else environment
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if named := values.get(name):
            return _folder(name, named)
    return _home(values) / "hub"


def endpoint() -> str:
    """Give the hub's address, without a slash at its end.

    Raises:
        PullError: HF_ENDPOINT is not an address.
    """
    return address("HF_ENDPOINT", os.environ.get("HF_ENDPOINT") or ENDPOINT)


def address(name: str, value: str) -> str:
    """Check that a variable holds an http address, and give it without a slash at its end.

    Raises:
        PullError: It does not.
    """
    if problem := _url_problem(value, ("http", "https")):
        raise _unusable(name, f"is not a web address: {problem}", "https://hf-mirror.com")
    return value.rstrip("/")


def token() -> str | None:
    """Give the person's token: HF_TOKEN, else the file that `hf auth login` writes.

    Raises:
        PullError: It cannot be read, or holds a character that no token has.
    """
    if _is_true("HF_HUB_DISABLE_IMPLICIT_TOKEN"):
        return None
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        if text := os.environ.get(name, "").strip():
            return _checked_token(name, text)
    named = os.environ.get("HF_TOKEN_PATH")
    path = _folder("HF_TOKEN_PATH", named) if named else _home(os.environ) / "token"
    name = "HF_TOKEN_PATH" if named else str(path)
    if not os.path.lexists(path):
        return None
    try:
        text = files.read(path, limit=_LONGEST_TOKEN).decode("utf-8", "replace").strip()
    except UsageError:
        raise PullError(
            f"Cannot read the token in {name}.", hint="Run: hf auth login, or set HF_TOKEN."
        ) from None
    return _checked_token(name, text) if text else None


def offline() -> bool:
    """Tell whether HF_HUB_OFFLINE (or TRANSFORMERS_OFFLINE) forbids to ask a hub."""
    first = "HF_HUB_OFFLINE"
    return _is_true(first if os.environ.get(first) else "TRANSFORMERS_OFFLINE")


def xet_disabled() -> bool:
    """Tell whether HF_HUB_DISABLE_XET forbids the hub's chunk store."""
    return _is_true("HF_HUB_DISABLE_XET")


def seconds(name: str, default: float) -> float:
    """Give a time-out from the environment, in seconds.

    Raises:
        PullError: It is not a number of 1 to 3,600.
    """
    named = os.environ.get(name, "").strip()
    if named in {"", "0"}:
        return default
    number = float(named) if named.isascii() and named.replace(".", "", 1).isdigit() else 0.0
    if not _LEAST_SECONDS <= number <= _MOST_SECONDS:
        raise _unusable(name, "is not a number of seconds (1 to 3600)", "30")
    return number


def check_connection() -> None:
    """Check what the HTTP client would read of the environment: proxies and certificates.

    Raises:
        PullError: Names the variable that cannot be used.
    """
    schemes = ("http", "https", *(("socks5", "socks5h") if find_spec("socksio") else ()))
    for name in (*_PROXIES, *(proxy.lower() for proxy in _PROXIES)):
        value = os.environ.get(name, "")
        full = value if "://" in value else f"http://{value}"
        if value and (problem := _url_problem(full, schemes)):
            problem = f"is not the address of a proxy: {problem}"
            raise _unusable(name, problem, "http://proxy.example:8080")
    if (path := os.environ.get("SSL_CERT_FILE")) and not _certifies(path):
        raise _unusable("SSL_CERT_FILE", "names no file of certificates")
    if (path := os.environ.get("SSL_CERT_DIR")) and not Path(path).is_dir():
        raise _unusable("SSL_CERT_DIR", "names no folder")


def _certifies(path: str) -> bool:
    import ssl

    try:
        ssl.create_default_context(cafile=path)
    except OSError:  # missing, unreadable, or an ssl.SSLError
        return False
    return True


def prepare_library() -> None:
    """Make the environment fit for importing huggingface_hub: nothing is reported, none crashes.

    It reads these at import, sends the names of agents' variables to the hub unless told not to,
    and ends on a time-out that is not a whole number.
    """
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    for name in ("HF_HUB_DOWNLOAD_TIMEOUT", "HF_HUB_ETAG_TIMEOUT"):
        value = os.environ.get(name, "0")
        if not (value.isascii() and value.isdigit()):
            del os.environ[name]


def _is_true(name: str) -> bool:
    return os.environ.get(name, "").upper() in _TRUE


def _unusable(name: str, problem: str, example: str = "") -> PullError:
    """Say what is wrong with a variable, without what it holds."""
    hint = f"Set {name}={example}, or unset it." if example else f"Correct it, or unset {name}."
    return PullError(f"{name} {problem}.", hint=hint)


def _home(values: Mapping[str, str]) -> Path:
    if named := values.get("HF_HOME"):
        return _folder("HF_HOME", named)
    named = values.get("XDG_CACHE_HOME")
    caches = _folder("XDG_CACHE_HOME", named) if named else _folder("HOME", "~/.cache")
    return caches / "huggingface"


def _folder(name: str, value: str) -> Path:
    """Expand `~` and variables in a path."""
    expanded = os.path.expanduser(os.path.expandvars(value))  # noqa: PTH111 - Path's raises
    problem = ""
    if expanded.startswith("~"):
        problem = "there is no such user"
    elif "\0" in expanded or len(expanded) > _LONGEST_PATH:
        problem = "it is too long to be a path"
    if problem:
        raise UsageError(f"{name} is not a folder: {problem}.", hint=f"Correct or unset {name}.")
    return Path(expanded)


def _checked_token(name: str, text: str) -> str:
    if len(text) > _LONGEST_TOKEN or any(not "!" <= letter <= "~" for letter in text):
        raise PullError(
            f"{name} holds a character that no token has (a typographic quote, a space?).",
            hint="Copy the token again from https://huggingface.co/settings/tokens",
        )
    return text


def _url_problem(value: str, schemes: tuple[str, ...]) -> str:
    """Say why a text is not an address; empty where it is one."""
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "its host or port cannot be read"
    if parts.scheme.lower() not in schemes or "://" not in value:
        return f"it does not begin with {' or '.join(f'{one}://' for one in schemes[:2])}"
    if not host or not value.isascii() or any(letter.isspace() for letter in value):
        return "its host cannot be read"
    return ""
