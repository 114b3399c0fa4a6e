"""Where qwenpick keeps what is its own: sessions, measurements, the config file."""

import os
from pathlib import Path


def home() -> Path:
    """Give QWENPICK_HOME, else the platform's folder for a user's data; it may not exist yet."""
    named = os.environ.get("QWENPICK_HOME")
    if named:
        return Path(named).expanduser()
    import platformdirs  # noqa: PLC0415 - only where it is needed

    return Path(platformdirs.user_data_dir("qwenpick", appauthor=False))
