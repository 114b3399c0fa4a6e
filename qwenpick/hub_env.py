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

from qwenpick.errors import PullError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

ENDPOINT = "https://huggingface.co"
_TRUE = frozenset({"1", "ON", "YES", "TRUE"})
_PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")
_LONGEST_PATH, _LONGEST_TOKEN = 1024, 4096
_TOKEN_FILE_BYTES = 1 << 16
_SECONDS = (1.0, 3600.0)
"""The least and the most that a time-out may be."""


def cache_root(environment: Mapping[str, str] | None = None) -> Path:
    """Give the folder of the hub cache, by huggingface_hub's rules; it may not exist yet.

    HF_HUB_CACHE, else `hub` in HF_HOME, else `huggingface/hub` in XDG_CACHE_HOME or ~/.cache.

    Raises:
        UsageError: The variable does not name a folder.
    """
    values = _environment(environment)
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if named := values.get(name):
            return _folder(name, named)
    return _home(values) / "hub"


def endpoint(environment: Mapping[str, str] | None = None) -> str:
    """Give the hub's address, without a slash at its end.

    Raises:
        PullError: HF_ENDPOINT is not an address.
    """
    named = _environment(environment).get("HF_ENDPOINT") or ENDPOINT
    return address("HF_ENDPOINT", named)


def address(name: str, value: str) -> str:
    """Check that a variable holds an http address, and give it without a slash at its end.

    Raises:
        PullError: It does not.
    """
    problem = _url_problem(value, ("http", "https"))
    if problem:
        raise PullError(
            f"{name} is not a web address: {problem}.",
            hint=f"Set it to one such as https://hf-mirror.com, or unset {name}.",
        )
    return value.rstrip("/")


def token(environment: Mapping[str, str] | None = None) -> str | None:
    """Give the person's token: HF_TOKEN, else the file that `hf auth login` writes.

    Raises:
        PullError: It cannot be read, or holds a character that no token has.
    """
    values = _environment(environment)
    if _is_true(values.get("HF_HUB_DISABLE_IMPLICIT_TOKEN")):
        return None
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        if named := values.get(name, "").strip():
            return _checked_token(name, named)
    path_named = values.get("HF_TOKEN_PATH")
    path = _folder("HF_TOKEN_PATH", path_named) if path_named else _home(values) / "token"
    name = "HF_TOKEN_PATH" if path_named else str(path)
    try:
        if path.exists() and not path.is_file():
            raise PullError(f"{name} is not a file.", hint="Run: hf auth login, or set HF_TOKEN.")
        with path.open("rb") as file:
            text = file.read(_TOKEN_FILE_BYTES).decode("utf-8", "replace").strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise PullError(
            f"Cannot read the token in {path}: {error.strerror}.",
            hint="Run: hf auth login, or set HF_TOKEN.",
        ) from None
    return _checked_token(name, text) if text else None


def offline(environment: Mapping[str, str] | None = None) -> bool:
    """Tell whether HF_HUB_OFFLINE (or TRANSFORMERS_OFFLINE) forbids to ask a hub."""
    values = _environment(environment)
    return _is_true(values.get("HF_HUB_OFFLINE") or values.get("TRANSFORMERS_OFFLINE"))


def xet_disabled() -> bool:
    """Tell whether HF_HUB_DISABLE_XET forbids the hub's chunk store."""
    return _is_true(os.environ.get("HF_HUB_DISABLE_XET"))


def seconds(name: str, default: float) -> float:
    """Give a time-out from the environment, in seconds.

    Raises:
        PullError: It is not a number of 1 to 3,600.
    """
    named = os.environ.get(name, "").strip()
    if named in {"", "0"}:
        return default
    number = float(named) if named.isascii() and named.replace(".", "", 1).isdigit() else 0.0
    if not _SECONDS[0] <= number <= _SECONDS[1]:
        raise PullError(
            f"{name} is not a number of seconds (1 to 3600).", hint=f"Set {name}=30, or unset it."
        )
    return number


def check_connection() -> None:
    """Check what the HTTP client would read of the environment: proxies and certificates.

    Raises:
        PullError: Names the variable that cannot be used.
    """
    schemes = ("http", "https", *(("socks5", "socks5h") if find_spec("socksio") else ()))
    for upper in _PROXIES:
        for name in (upper.lower(), upper):
            value = os.environ.get(name)
            if value and (problem := _url_problem(_with_scheme(value), schemes)):
                raise PullError(
                    f"{name} is not the address of a proxy: {problem}.",
                    hint=f"Set it to one such as http://proxy.example:8080, or unset {name}.",
                )
    for name, is_there in (("SSL_CERT_FILE", Path.is_file), ("SSL_CERT_DIR", Path.is_dir)):
        value = os.environ.get(name)
        if value and not _safely(is_there, value):
            kind = "file" if name.endswith("FILE") else "folder"
            raise PullError(f"{name} names no {kind}.", hint=f"Correct it, or unset {name}.")
    _check_certificates(os.environ.get("SSL_CERT_FILE"))


def _check_certificates(path: str | None) -> None:
    """Check that SSL_CERT_FILE holds certificates."""
    if not path:
        return
    import ssl

    try:
        ssl.create_default_context(cafile=path)
    except OSError:  # ssl.SSLError is one
        raise PullError(
            "SSL_CERT_FILE holds no certificate.", hint="Correct it, or unset SSL_CERT_FILE."
        ) from None


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


def _environment(given: Mapping[str, str] | None) -> Mapping[str, str]:
    return os.environ if given is None else given


def _is_true(value: str | None) -> bool:
    return (value or "").upper() in _TRUE


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


def _with_scheme(value: str) -> str:
    return value if "://" in value else f"http://{value}"


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


def _safely(is_there: object, value: str) -> bool:
    try:
        return bool(is_there(Path(value)))  # type: ignore[operator]
    except (OSError, ValueError):
        return False
