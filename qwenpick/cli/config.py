"""The config file: defaults for the options of each command, in TOML.

    [chat]
    threads = 4
    think = false

A table a command, a key an option (`min-speed` or `min_speed`); what is typed wins.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from qwenpick.errors import UsageError
from qwenpick.home import home


def defaults() -> dict[str, dict[str, Any]]:
    """Read the file that QWENPICK_CONFIG names, else `config.toml` in QWENPICK_HOME.

    Returns:
        Command to option to value, as typer takes it; empty without a file.

    Raises:
        UsageError: The file is not there, or is no TOML of this form.
    """
    named = os.environ.get("QWENPICK_CONFIG")
    path = Path(named) if named else home() / "config.toml"
    if not named and not path.is_file():
        return {}
    import tomllib  # noqa: PLC0415 - 10 ms, and few people have a file

    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"The config file {path} can't be read: {error}.", hint="See docs/cli.md for its form."
        ) from None
    if not all(isinstance(table, dict) for table in tables.values()):
        raise UsageError(
            f"The config file {path} has an option outside a command's table.",
            hint="Write it below a line such as [chat].",
        )
    return {
        command: {key.replace("-", "_"): value for key, value in table.items()}
        for command, table in tables.items()
    }
