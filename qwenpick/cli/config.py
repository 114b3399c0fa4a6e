"""The config file: defaults for the options of each command, in TOML.

    [chat]
    threads = 4
    think = false

A table a command, a key an option (`min-speed` or `min_speed`); what is typed wins.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwenpick.errors import UsageError
from qwenpick.home import home

if TYPE_CHECKING:
    from collections.abc import Mapping


def defaults(commands: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Read the file that QWENPICK_CONFIG names, else `config.toml` in QWENPICK_HOME.

    Args:
        commands: Every command by its name, as typer made it.

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
    return {name: _by_parameter(path, name, table, commands) for name, table in tables.items()}


def _by_parameter(
    path: Path, name: str, table: dict[str, Any], commands: Mapping[str, Any]
) -> dict[str, Any]:
    """Name each option of a table as the command's own parameter is named.

    Raises:
        UsageError: There is no such command, or it has no such option.
    """
    if name not in commands:
        raise UsageError(
            f"The config file {path} has a table [{name}], and there is no such command.",
            hint=f"Commands: {', '.join(commands)}.",
        )
    known = {
        option.lstrip("-").replace("-", "_"): parameter.name
        for parameter in commands[name].params
        for option in parameter.opts
    }
    values = {}
    for key, value in table.items():
        parameter = known.get(key.replace("-", "_"))
        if parameter is None:
            raise UsageError(
                f"The config file {path} sets {key!r}, and {name} has no such option.",
                hint=f"See: qwenpick {name} --help",
            )
        values[parameter] = value
    return values
