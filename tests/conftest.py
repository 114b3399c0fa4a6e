"""What every test stands on: an own home, an own hub cache, no settings of the person's."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from qwenpick.hardware import bandwidth

if TYPE_CHECKING:
    from pathlib import Path

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

os.environ.setdefault("GOMP_SPINCOUNT", "2000")  # the tests share their cores (docs/decisions.md)
FOREIGN = (
    "HF_TOKEN", "HF_ENDPOINT", "HF_HUB_OFFLINE", "HF_HUB_CACHE",
    "QWENPICK_CATALOG", "QWENPICK_CONFIG", "NO_COLOR",
)  # fmt: skip


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test a home and a hub cache of its own."""
    for name in FOREIGN:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("QWENPICK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setattr(bandwidth, "measured", lambda **_: 30e9)  # the same on a busy machine
    return tmp_path
