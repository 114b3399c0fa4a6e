"""The door: every command by its name, and `main`, which owns the errors."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from qwenpick import __version__
from qwenpick.cli import bench, chat, doctor, engine, files, machine, pull, recommend, sessions
from qwenpick.cli.config import defaults
from qwenpick.errors import QwenpickError

if TYPE_CHECKING:
    from collections.abc import Sequence

app = typer.Typer(
    name="qwenpick",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Pick and run the right size of Qwen3.5 on this machine."""
    if version:
        sys.stdout.write(f"qwenpick {__version__}\n")
    elif context.invoked_subcommand is None:
        sys.stdout.write(context.get_help() + "\n")


app.command()(recommend.recommend)
app.command()(recommend.guide)
app.command()(machine.probe)
app.command()(pull.pull)
app.command()(chat.chat)
app.command()(sessions.sessions)
app.command()(bench.bench)
app.command("list")(files.list_files)
app.command()(files.rm)
app.command()(files.verify)
app.add_typer(engine.app, name="engine")
app.command()(doctor.doctor)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line, and give its exit code: the console script.

    Args:
        arguments: What follows `qwenpick`; the process's own where None.
    """
    signal.signal(signal.SIGTERM, _terminate)
    try:
        door = typer.main.get_command(app)
        code = door.main(
            args=arguments,
            prog_name="qwenpick",
            standalone_mode=False,
            default_map=defaults(getattr(door, "commands", {})),
        )
        sys.stdout.flush()
    except QwenpickError as error:
        return _report(error.message, error.hint, error.exit_code)
    except typer.TyperException as error:
        return _report(error.format_message(), _usage_hint(error), error.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:
        # The reader has gone; what is still in the buffer must not be written at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
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
