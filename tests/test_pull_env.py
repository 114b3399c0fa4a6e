"""The hub's environment: one place reads it, and names the variable that cannot be used."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from qwenpick import hub_env
from qwenpick.errors import PullError, UsageError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HF_ENDPOINT", "hf-mirror.com"),
        ("HF_ENDPOINT", "ftp://hf-mirror.com"),
        ("HF_ENDPOINT", "https://"),
        ("HF_ENDPOINT", "https://host:port"),
        ("HF_ENDPOINT", "https://host:99999"),
        ("HF_ENDPOINT", "http://[bad"),
        ("HF_TOKEN", "\u201chf_abc\u201d"),
        ("HF_TOKEN", "hf_abc def"),
        ("HF_TOKEN", "h" * 5000),
        ("HF_TOKEN_PATH", "/"),
        ("HF_HOME", "~nosuchuser/x"),
        ("HF_HUB_CACHE", "x" * 5000),
        ("HF_HUB_DOWNLOAD_TIMEOUT", "30s"),
        ("HF_HUB_DOWNLOAD_TIMEOUT", "\u00b2"),
        ("HF_HUB_DOWNLOAD_TIMEOUT", "1e400"),
        ("ALL_PROXY", "socks4://host:1"),
        ("HTTP_PROXY", "http://[bad"),
        ("https_proxy", "http://host:port"),
        ("SSL_CERT_FILE", "/no/such/file"),
        ("SSL_CERT_FILE", __file__),
        ("SSL_CERT_DIR", "/dev/null"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises((PullError, UsageError)) as caught:
        everything()
    assert name in caught.value.message
    assert "\n" not in caught.value.message + caught.value.hint
    assert value not in caught.value.message


def everything() -> None:
    """Read all that a pull reads."""
    hub_env.cache_root()
    hub_env.endpoint()
    hub_env.token()
    hub_env.offline()
    hub_env.seconds("HF_HUB_DOWNLOAD_TIMEOUT", 30)
    hub_env.check_connection()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HF_ENDPOINT", "https://mirror.example/hf/"),
        ("HF_TOKEN", " hf_abc\n"),
        ("HF_HUB_DOWNLOAD_TIMEOUT", "10.5"),
        ("HF_HUB_DOWNLOAD_TIMEOUT", "0"),
        ("HTTPS_PROXY", "proxy.example:8080"),
        ("HTTP_PROXY", "http://user:word@proxy.example:8080"),
    ],
)
def test_good_values_are_taken(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    everything()
    if name == "HF_ENDPOINT":
        assert hub_env.endpoint() == "https://mirror.example/hf"
    if name == "HF_TOKEN":
        assert hub_env.token() == "hf_abc"


def test_the_token_comes_from_the_file_of_a_login(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    assert hub_env.token() is None
    (tmp_path / "token").write_text("hf_file\n", encoding="utf-8")
    assert hub_env.token() == "hf_file"
    monkeypatch.setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")
    assert hub_env.token() is None


def test_a_pull_with_a_bad_variable_ends_with_4_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "hf-mirror.com")
    words = [sys.executable, "-m", "qwenpick", "pull", "owner/repo:Q4_K_M"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 4
    assert "HF_ENDPOINT is not a web address" in done.stderr
    assert "Traceback" not in done.stderr
