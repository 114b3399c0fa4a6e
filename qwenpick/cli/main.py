"""Every command by its name, and `main`, which owns the errors."""

from __future__ import annotations

import os
import signal
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Annotated

import typer

from qwenpick import __version__
from qwenpick.cli import config, output
from qwenpick.errors import NothingFitsError, QwenpickError, RunError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

COMPLETION = "_QWENPICK_COMPLETE"
"""Set by a shell that asks for completion (click's own name for it)."""
COMMANDS = {
    "recommend": ("cmd_recommend:recommend", "Pick a model for this machine, and say why."),
    "guide": ("cmd_guide:guide", "Show Qwen's guide, with this machine's row."),
    "probe": ("cmd_probe:probe", "Show this machine's memory, CPU and GPUs."),
    "pull": ("cmd_pull:pull", "Download a model and print its path."),
    "chat": ("cmd_chat:chat", "Chat with a model, or answer -p and exit."),
    "sessions": ("cmd_sessions:sessions", "List or remove saved conversations."),
    "bench": ("cmd_bench:bench", "Measure a model's speed on this machine."),
    "list": ("cmd_list:list_files", "List installed models."),
    "rm": ("cmd_rm:rm", "Remove an installed model."),
    "verify": ("cmd_verify:verify", "Check the sha256 of installed models."),
    "engine": ("cmd_engine:app", "Show the installed engine and what fits."),
    "doctor": ("cmd_doctor:doctor", "Check this installation; show how to fix it."),
}
"""Every command in the order of --help: where it is (module of this room, name there), and
what it does."""


def build_cli(arguments: Sequence[str]) -> typer.Typer:
    """Give the command line's own parser: with the command that is called, or a list of all.

    Reading the options of a command costs 3 to 10 ms: only those of the called one are read,
    and all of them where a shell asks for completion.
    """
    app = typer.Typer(
        name="qwenpick",
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(invoke_without_command=True)(root)
    called = [name for name in arguments[:1] if name in COMMANDS]
    wanted = called or ([*COMMANDS] if COMPLETION in os.environ else [])
    for name in called or COMMANDS:
        where, summary = COMMANDS[name]
        if name not in wanted:
            app.command(name, help=summary)(_listed)
            continue
        module, _, attribute = where.partition(":")
        room = import_module(f"qwenpick.cli.commands.{module}")
        command = getattr(room, attribute)
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name, help=summary)
        else:
            app.command(name, cls=getattr(room, "command_class", None))(command)
    return app


def _listed() -> None:
    """Stand for a command in --help; a command that is called is always the real one."""


def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Pick and run the right size of Qwen3.5 on this machine."""
    if version:
        output.write(f"qwenpick {__version__}\n")
    elif context.invoked_subcommand is None:
        import_module("qwenpick.cli.commands.cmd_recommend").overview()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line, and give its exit code: the console script.

    Args:
        arguments: What follows `qwenpick`; the process's own where None.
    """
    signal.signal(signal.SIGTERM, _terminate)
    words = sys.argv[1:] if arguments is None else list(arguments)
    settings = None
    try:
        settings = config.load(COMMANDS)
        group = typer.main.get_command(build_cli(words))
        code = group.main(
            args=words,
            prog_name="qwenpick",
            standalone_mode=False,
            default_map=settings.defaults(getattr(group, "commands", {})),
        )
        sys.stdout.flush()
    except typer.TyperException as error:
        return _report(error.format_message(), _usage_hint(error), error.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:
        output.drop_stdout()
        return 0
    except (QwenpickError, OSError) as error:
        told = _in_words(error)
        origin = ""
        if isinstance(told, UsageError) and settings:
            origin = settings.origin(told.message, "".join(words[:1]))
        return _report(origin + told.message, told.hint, told.exit_code)
    return code if isinstance(code, int) else 0


def _report(message: str, hint: str, code: int) -> int:
    output.message(message + "\n" + (hint + "\n" if hint else ""))
    return code


def _in_words(error: QwenpickError | OSError) -> QwenpickError:
    """Find the words for what the system refuses, and for a pick that failed."""
    if isinstance(error, OSError):
        return _refusal(error)
    if not isinstance(error, NothingFitsError):
        return error
    from qwenpick.cli.pages.recommend_words import no_fit
    from qwenpick.pick.no_fit import NoFitError

    return no_fit(error.facts) if isinstance(error, NoFitError) else error


def _refusal(error: OSError) -> RunError:
    """Say which file the system refuses, and why; without a name it is stdout's."""
    reason = error.strerror or str(error)
    if error.filename is None:
        output.drop_stdout()  # what is still in the buffer would be refused again at exit
        return RunError(f"Cannot write the output: {reason}.")
    from qwenpick.files import shortened

    return RunError(f"Cannot use {shortened(error.filename)}: {reason}.")


def _usage_hint(error: typer.TyperException) -> str:
    context = getattr(error, "ctx", None)
    return f"See: {context.command_path if context else 'qwenpick'} --help"


def _terminate(_signal: int, _frame: object) -> None:
    raise SystemExit(143)
