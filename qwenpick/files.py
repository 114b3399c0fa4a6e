"""Where qwenpick keeps what is its own: sessions, measurements, the config file."""

import os
from pathlib import Path

from qwenpick.errors import UsageError


def home() -> Path:
    """Give QWENPICK_HOME, else the platform's folder for a user's data; it may not exist yet.

    Raises:
        UsageError: It depends on the user's home, and nothing says where that is.
    """
    named = os.environ.get("QWENPICK_HOME")
    try:
        if named:
            return Path(named).expanduser()
        import platformdirs

        folder = Path(platformdirs.user_data_dir("qwenpick", appauthor=False)).expanduser()
    except RuntimeError:  # of expanduser: no HOME, and no user of this number
        folder = Path("~")
    if not folder.is_absolute():
        raise UsageError(
            "There is no home folder here (HOME is not set).",
            hint="Say where qwenpick may keep its own: QWENPICK_HOME=/some/folder",
        )
    return folder
