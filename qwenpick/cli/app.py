"""The door: every command by its name, and `main`, which owns the errors."""

from __future__ import annotations

import signal
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Annotated

import typer

from qwenpick import __version__
from qwenpick.cli.config import defaults
from qwenpick.cli.output import drop_stdout
from qwenpick.errors import QwenpickError

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = {
    "recommend": "recommend:recommend",
    "guide": "recommend:guide",
    "probe": "machine:probe",
    "pull": "pull:pull",
    "chat": "chat:chat",
    "sessions": "sessions:sessions",
    "bench": "bench:bench",
    "list": "files:list_files",
    "rm": "files:rm",
    "verify": "files:verify",
    "engine": "engine:app",
    "doctor": "doctor:doctor",
}
"""Every command, in the order of --help, and where it is: module of this room, and name there."""


def door(arguments: Sequence[str]) -> typer.Typer:
    """Give the command line's own parser: with the one command that is called, or with all.

    Reading the options of a command costs 3 to 10 ms, so the others are left out where the
    first word names one.
    """
    app = typer.Typer(
        name="qwenpick",
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(invoke_without_command=True)(root)
    called = [name for name in arguments[:1] if name in COMMANDS]
    for name in called or COMMANDS:
        module, _, attribute = COMMANDS[name].partition(":")
        command = getattr(import_module(f"qwenpick.cli.{module}"), attribute)
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name)
        else:
            app.command(name)(command)
    return app


def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Pick and run the right size of Qwen3.5 on this machine."""
    if version:
        sys.stdout.write(f"qwenpick {__version__}\n")
    elif context.invoked_subcommand is None:
        sys.stdout.write(context.get_help() + "\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line, and give its exit code: the console script.

    Args:
        arguments: What follows `qwenpick`; the process's own where None.
    """
    signal.signal(signal.SIGTERM, _terminate)
    try:
        words = sys.argv[1:] if arguments is None else list(arguments)
        group = typer.main.get_command(door(words))
        code = group.main(
            args=words,
            prog_name="qwenpick",
            standalone_mode=False,
            default_map=defaults(getattr(group, "commands", {}), known=COMMANDS),
        )
        sys.stdout.flush()
    except QwenpickError as error:
        return _report(error.message, error.hint, error.exit_code)
    except typer.TyperException as error:
        return _report(error.format_message(), _usage_hint(error), error.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:
        drop_stdout()
        return 0
    return code if isinstance(code, int) else 0


def _report(message: str, hint: str, code: int) -> int:
    sys.stderr.write(message + "\n" + (hint + "\n" if hint else ""))
    return code


def _usage_hint(error: typer.TyperException) -> str:
    context = getattr(error, "ctx", None)
    return f"See: {context.command_path if context else 'qwenpick'} --help"


def _terminate(_signal: int, _frame: object) -> None:
    raise SystemExit(143)
