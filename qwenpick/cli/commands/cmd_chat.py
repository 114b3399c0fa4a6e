"""Talk to it: `chat`."""

from __future__ import annotations

import os
import stat
import sys
from typing import TYPE_CHECKING

import typer

from qwenpick.cli.chat_options import (
    KeepOptions,  # noqa: TC001 - typer reads it
    LoadOptions,  # noqa: TC001 - the same
    SamplingOptions,  # noqa: TC001 - the same
    TurnOptions,  # noqa: TC001 - the same
)
from qwenpick.cli.options import Json, ModelArgument, QuantOptions, Yes, spread
from qwenpick.cli.output import drop_stdout, emit, status
from qwenpick.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qwenpick.app.chats import Chat
    from qwenpick.app.loader import LoadedModel
    from qwenpick.app.store import Session
    from qwenpick.chat.generation_config import GenerationConfig
    from qwenpick.chat.schema import Schema
    from qwenpick.chat.tools import Tool
    from qwenpick.engine.image import Picture


@spread
def chat(
    turn: TurnOptions,
    sampling: SamplingOptions,
    load: LoadOptions,
    keep: KeepOptions,
    quant: QuantOptions,
    model: ModelArgument = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Talk to a model; with -p or text on stdin, answer and end."""
    turn.check()
    prompts = _prompts(turn.prompt)
    if prompts is None and as_json:
        raise UsageError("--json needs something to answer.", hint="Say it with -p TEXT.")
    schema, tools = _demanded(turn)
    pictures = _pictures(turn)
    from qwenpick.app import loader, models
    from qwenpick.app.pick_input import ask_machine, usable_by_engine
    from qwenpick.catalog.table import load as load_catalog
    from qwenpick.cli.ui import TerminalUi

    ui = TerminalUi(yes=yes)
    question = ask_machine(load.wish(vision=bool(turn.image)), load_catalog())
    question = usable_by_engine(question, ui)
    session = _session(keep)
    model = model or (session.model if session else None)
    demands = loader.LoadOverrides(threads=load.threads, force=load.force)
    with ui:
        local = models.resolve(model, quant.chosen(), question, ui, or_demo=not yes)
        opened = loader.load(loader.prepare(local, question, demands), ui)
    if not keep.no_save:
        models.remember(local)
    from qwenpick.app.chats import Chat, ChatOptions

    way = ChatOptions(
        question=question, demands=demands, keep=not keep.no_save, schema=schema, ui=ui
    )
    manner = _manner(opened, turn, sampling)
    manner.tools = tools
    host = Chat(opened, manner, way, session)
    if tools and not host.conversation.scribe.takes(tools):
        status(f"{host.label} never sees the tools: its chat template leaves them out.")
    if turn.system is not None:
        host.conversation.system = turn.system
    try:
        if prompts is None:
            _talk(host, pictures, turn, keep)
        else:
            _answer(host, prompts, pictures, as_json=as_json)
    except BrokenPipeError:
        drop_stdout()  # typer would end with 1
    finally:
        host.close()


def _answer(host: Chat, prompts: list[str], pictures: Sequence[Picture], *, as_json: bool) -> None:
    """Answer each prompt, and end."""
    from qwenpick.cli.chat.answers import ChatResult, answer

    host.conversation.manner.read_ahead = False  # nobody reads or types in between
    shown = [host.show(picture) for picture in pictures]
    schema = host.opening.schema
    turns = answer(host.conversation, prompts, shown, quiet=as_json, schema=schema)
    host.keep_rates()
    made = host.conversation.reader.checkpoints.bytes
    result = ChatResult(opened=host.opened, checkpoints=made, album=host.album, turns=turns)
    emit(result, as_json=as_json)
    if turns[-1].finish == "interrupted":
        raise typer.Exit(130)


def _demanded(turn: TurnOptions) -> tuple[Schema | None, tuple[Tool, ...] | None]:
    """Read the schema and the tools, before anything is loaded.

    Raises:
        UsageError: One of them can't be understood.
    """
    schema = tools = None
    if turn.schema is not None:
        from qwenpick.chat.schema import read_schema

        schema = read_schema(turn.schema)
    if turn.tools is not None:
        from qwenpick.chat.tools import read_tools

        try:
            tools = read_tools(turn.tools.expanduser().read_text(encoding="utf-8-sig"))
        except OSError as error:
            raise UsageError(
                f"{turn.tools} can't be read: {error.strerror}.", hint="Check its name."
            ) from None
    return schema, tools


def _pictures(turn: TurnOptions) -> list[Picture]:
    """Look at the pictures, before anything is loaded; what was changed is said.

    Raises:
        UsageError: One of them is none.
        PullError: Its address can't be reached.
    """
    from qwenpick.app.images import look_at, name_of

    pictures = []
    for where in turn.image or ():
        pictures.append(look_at(where))
        if pictures[-1].note:
            status(f"{name_of(where)}: {pictures[-1].note}")
    return pictures


def _talk(host: Chat, pictures: Sequence[Picture], turn: TurnOptions, keep: KeepOptions) -> None:
    """Talk until the person leaves."""
    from qwenpick.cli.chat.terminal import Terminal
    from qwenpick.hardware.system import on_battery

    host.conversation.manner.read_ahead = not (keep.no_read_ahead or on_battery())
    terminal = Terminal(host, show_thinking=turn.show_thinking, remember=not keep.no_save)
    terminal.run([host.show(picture) for picture in pictures])


def _session(keep: KeepOptions) -> Session | None:
    """Find the conversation to go on with, None for a new one."""
    if not (keep.resume or keep.session):
        return None
    from qwenpick.app import store

    return store.load(keep.session) if keep.session else store.latest()


def _prompts(given: list[str] | None) -> list[str] | None:
    """Join what stands on stdin to the first prompt; None: talk on the terminal.

    Raises:
        UsageError: There is nothing to answer.
    """
    piped = _stdin()
    if given:
        first = f"{given[0]}\n\n{piped}" if piped else given[0]
        prompts = [first, *given[1:]]
        if not all(text.strip() for text in prompts):
            raise UsageError("A prompt is empty.", hint="Say it with -p TEXT.")
        return prompts
    if piped:
        return [piped]
    if sys.stdin.isatty() and sys.stdout.isatty():
        return None
    raise UsageError("There is nothing to answer.", hint="Say it with -p TEXT, or on stdin.")


def _stdin() -> str:
    """Read stdin where it is a pipe or a file."""
    try:
        kind = os.fstat(sys.stdin.fileno()).st_mode
    except (OSError, ValueError, AttributeError):
        return ""  # there is none
    if not (stat.S_ISFIFO(kind) or stat.S_ISREG(kind)):
        return ""
    return sys.stdin.buffer.read().decode(errors="replace").strip()


def _manner(opened: LoadedModel, turn: TurnOptions, sampling: SamplingOptions) -> GenerationConfig:
    from qwenpick.chat.generation import Limits
    from qwenpick.chat.generation_config import GenerationConfig

    model = opened.prepared.model
    default = model.thinking_default if model else False
    return GenerationConfig(
        thinking=default if turn.think is None else turn.think,
        mode=turn.mode,
        limits=Limits(
            max_tokens=turn.max_tokens,
            think_budget=turn.think_budget,
            stop=tuple(turn.stop or ()),
        ),
        overrides=sampling.overrides(),
        seed=sampling.seed,
    )
