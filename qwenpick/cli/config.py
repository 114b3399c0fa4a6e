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
from qwenpick.files import home

if TYPE_CHECKING:
    from collections.abc import Container, Mapping


def defaults(commands: Mapping[str, Any], *, known: Container[str]) -> dict[str, dict[str, Any]]:
    """Read the file that QWENPICK_CONFIG names, else `config.toml` in QWENPICK_HOME.

    Args:
        commands: The commands whose options are wanted, by name, as typer made them.
        known: The names of all.

    Returns:
        Command to option to value, as typer takes it; empty without a file.

    Raises:
        UsageError: The file is not there, or is no TOML of this form.
    """
    named = os.environ.get("QWENPICK_CONFIG")
    path = Path(named) if named else home() / "config.toml"
    if not named and not path.is_file():
        return {}
    import tomllib

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
    for name in tables:
        if name not in known:
            raise UsageError(
                f"The config file {path} has a table [{name}], and there is no such command.",
                hint="See: qwenpick --help",
            )
    return {
        name: _by_parameter(path, name, table, commands[name])
        for name, table in tables.items()
        if name in commands
    }


def _by_parameter(
    path: Path,
    name: str,
    table: dict[str, Any],
    command: Any,  # noqa: ANN401 - typer's own
) -> dict[str, Any]:
    """Name each option of a table as the command's own parameter is named.

    Raises:
        UsageError: It has no such option.
    """
    known = {
        option.lstrip("-").replace("-", "_"): parameter.name
        for parameter in command.params
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
