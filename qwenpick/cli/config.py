"""The config file: defaults for the options of each command, in TOML.

    [chat]
    threads = 4
    think = false

A table a command, a key an option (`min-speed` or `min_speed`); what is typed wins. A
value is checked as what is typed is, and an error names the file, the table and the key.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from qwenpick import files
from qwenpick.errors import QwenpickError, UsageError

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

_LIMIT = 256 << 10
"""Bytes; a system prompt is the longest that stands in one."""
_DEEPEST = 32
_TEXTS = r"""(?xs)
    \"{3} (?: \\. | [^\\] )*? \"{3} | '{3} .*? '{3}   # over several lines
    | \" (?: \\. | [^"\\\n] )* \" | ' [^'\n]* '        # on one
    | \#[^\n]*                                         # a comment
"""
"""What of TOML is text or comment, and no key."""
_EXPECTED = {"boolean": (bool, "true or false"), "int": (int, "a whole number")}
_DEEP = "it is nested too deeply"
_HINT = "docs/cli.md has the form of the config file."


class Config:
    """The config file: tables of options by command, none without a file."""

    def __init__(self, path: Path, tables: dict[str, dict[str, Any]]) -> None:
        self.path = path
        self.tables = tables

    def defaults(self, commands: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """Give the values for the commands whose options are wanted, as typer takes them.

        Raises:
            UsageError: A command has no such option, or the option can't have this value.
        """
        return {
            name: self._by_parameter(name, table, commands[name])
            for name, table in self.tables.items()
            if name in commands
        }

    def origin(self, message: str, command: str) -> str:
        """Say which lines of the file a message repeats the values of, empty for none."""
        if message.startswith("Config file "):
            return ""
        keys = [
            key
            for key, value in self.tables.get(command, {}).items()
            if not isinstance(value, bool)
            and any(_repeated(one, message) for one in _several(value))
        ]
        return f"Config file {self.path}, [{command}] {', '.join(keys)}: " if keys else ""

    def _by_parameter(self, name: str, table: dict[str, Any], command: Any) -> dict[str, Any]:  # noqa: ANN401 - typer's own
        """Name each option of a table as the command's own parameter is named."""
        known = {
            option.lstrip("-").replace("-", "_"): parameter
            for parameter in command.params
            for option in parameter.opts
        }
        values = {}
        for key, value in table.items():
            where = f"Config file {self.path}, [{name}] {key}"
            parameter = known.get(key.replace("-", "_"))
            if parameter is None:
                raise UsageError(f"{where}: no such option.", hint=f"See: qwenpick {name} --help")
            problem = _problem(parameter, value)
            if problem:
                raise UsageError(f"{where}: {problem}", hint=f"See: qwenpick {name} --help")
            values[parameter.name] = _several(value) if parameter.multiple else value
        return values


def load(known: Container[str]) -> Config:
    """Read the file that QWENPICK_CONFIG names, else `config.toml` in QWENPICK_HOME.

    Args:
        known: The names of all commands.

    Raises:
        UsageError: The file is not there, or is no TOML of this form.
    """
    named = os.environ.get("QWENPICK_CONFIG")
    path = Path(named) if named else files.home() / "config.toml"
    if not named and not os.path.lexists(path):
        return Config(path, {})
    tables = _toml(path, files.read(path, limit=_LIMIT))
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise UsageError(
                f"Config file {path}: {name} stands outside a command's table.",
                hint="Write it below a line such as [chat].",
            )
        if name not in known:
            raise UsageError(
                f"Config file {path}, [{name}]: no such command.", hint="See: qwenpick --help"
            )
    return Config(path, tables)


def _toml(path: Path, data: bytes) -> dict[str, Any]:
    import tomllib

    try:
        text = files.text(data)
        deepest = max(line.count(".") for line in ["", *re.sub(_TEXTS, "", text).splitlines()])
        if deepest <= _DEEPEST:  # tomllib takes memory by the square of a key's parts
            return tomllib.loads(text)
        problem = _DEEP
    except UnicodeError:
        problem = "it is not UTF-8 text"
    except ValueError as error:
        problem = str(error)
    except RecursionError:
        problem = _DEEP
    raise UsageError(f"Config file {path}: {problem}.", hint=_HINT)


def _repeated(value: object, message: str) -> bool:
    return bool(re.search(rf"(?<!\w){re.escape(str(value))}(?!\w)", message))


def _several(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _problem(parameter: Any, value: object) -> str:  # noqa: ANN401 - typer's own
    """Say why an option can't have a value, empty where it can."""
    kind, expected = _EXPECTED.get(parameter.type.name.split()[0], ((str, int, float), "a text"))
    for one in _several(value) if parameter.multiple else [value]:
        if not isinstance(one, kind) or (isinstance(one, bool) and kind is not bool):
            return f"{str(one)[:40]!r} is not {expected}."
        try:
            parameter.type(one, parameter)
        except QwenpickError as error:
            return f"{error.message} {error.hint}"
        except typer.TyperException as error:
            return error.format_message()
    return ""
