"""Talk to a model: `chat`."""

from __future__ import annotations

import os
import stat
import sys
from typing import TYPE_CHECKING

import typer
from msgspec.structs import replace

from qwenpick.cli.chat_options import (
    AnswerOptions,
    ChatCommand,
    LoadOptions,
    MessageOptions,
    SaveOptions,
)
from qwenpick.cli.options import Json, ModelArgument, QuantOptions, Yes, spread
from qwenpick.cli.output import drop_stdout, status, write_json
from qwenpick.errors import UsageError

if TYPE_CHECKING:
    from qwenpick.app.chats import Chat
    from qwenpick.app.store import Session
    from qwenpick.chat.generation_config import GenerationConfig
    from qwenpick.engine.image import DecodedImage

command_class = ChatCommand


@spread
def chat(
    message: MessageOptions,
    how: AnswerOptions,
    load: LoadOptions,
    saving: SaveOptions,
    quant: QuantOptions,
    model: ModelArgument = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Chat with a model, or answer -p and exit."""
    prompts = _prompts(message.prompt)
    if prompts is None and as_json:
        raise UsageError("--json needs a message.", hint="Send one with -p TEXT.")
    config = _config(message, how)
    images = _images(message)
    from qwenpick.app import loader, models
    from qwenpick.app.chats import Chat, ChatOptions
    from qwenpick.app.pick_input import ask_machine, usable_by_engine
    from qwenpick.catalog.table import load as load_catalog
    from qwenpick.cli.ui import TerminalUi
    from qwenpick.hardware.system import on_battery

    with TerminalUi(yes=yes) as ui:
        question = ask_machine(load.wish(vision=bool(message.image)), load_catalog())
        question = usable_by_engine(question, ui)
        session = _session(saving)
        name = model or (session.model if session else None)
        local = models.resolve(name, quant.chosen(), question, ui, or_demo=not yes)
        save = not saving.no_save
        overrides = loader.LoadOverrides(threads=load.threads, force=load.force, save=save)
        loaded = loader.load(loader.prepare(local, question, overrides), ui)
        if save:
            models.remember(local)
        if how.think is None and local.model:
            config = replace(config, thinking=local.model.thinking_default)
        ahead = prompts is None and not (saving.no_read_ahead or on_battery())
        options = ChatOptions(save=save, prefill_ahead=ahead)
        talk = Chat(loaded, config, options, ui, session)
        try:
            if message.system is not None:
                talk.set_system(message.system)
            if config.tools and not talk.model.takes_tools(config.tools):
                status(f"{talk.loaded.label} does not see the tools: its chat template omits them.")
            if prompts is None:
                _talk(talk, images, how, saving)
            else:
                _answer(talk, prompts, images, as_json=as_json)
        except BrokenPipeError:
            drop_stdout()  # typer would end with 1
        finally:
            talk.close()


def _answer(talk: Chat, prompts: list[str], images: list[DecodedImage], *, as_json: bool) -> None:
    """Answer each prompt, and end."""
    from qwenpick.cli.chat.answers import answer, document

    shown = [talk.show_image(image) for image in images]
    turns = answer(talk, prompts, shown, quiet=as_json)
    if as_json:
        write_json(document(talk, turns))
    if turns[-1].finish == "interrupted":
        raise typer.Exit(130)


def _talk(talk: Chat, images: list[DecodedImage], how: AnswerOptions, saving: SaveOptions) -> None:
    """Talk until the person leaves."""
    from qwenpick.cli.chat.terminal import Terminal

    terminal = Terminal(talk, show_thinking=how.show_thinking, remember=not saving.no_save)
    terminal.run([talk.show_image(image) for image in images])


def _config(message: MessageOptions, how: AnswerOptions) -> GenerationConfig:
    """Read how to answer, before anything is loaded.

    Raises:
        UsageError: The schema or the tools cannot be used.
    """
    from qwenpick.chat.generation_config import GenerationConfig
    from qwenpick.chat.schema import read_schema
    from qwenpick.chat.tools import read_tools

    return GenerationConfig(
        thinking=bool(how.think),
        mode=how.mode,
        max_tokens=how.max_tokens,
        think_budget=how.think_budget,
        stop=tuple(how.stop or ()),
        sampling=how.sampling(),
        seed=how.seed,
        tools=read_tools(message.tools) if message.tools is not None else (),
        schema=read_schema(message.schema) if message.schema is not None else None,
    )


def _images(message: MessageOptions) -> list[DecodedImage]:
    """Read the images, before anything is loaded.

    Raises:
        UsageError: One of them is missing, or is not an image.
        PullError: Its address cannot be reached.
    """
    from qwenpick.app.images import name_of, read_image

    images = []
    for where in message.image or ():
        images.append(read_image(where))
        if images[-1].note:
            status(f"{name_of(where)}: {images[-1].note}")
    return images


def _session(saving: SaveOptions) -> Session | None:
    """Find the conversation to continue, None for a new one."""
    if not (saving.resume or saving.session):
        return None
    from qwenpick.app import store

    return store.load(saving.session) if saving.session else store.latest()


def _prompts(given: list[str] | None) -> list[str] | None:
    """Join the text on stdin to the first prompt; None: talk on the terminal.

    Raises:
        UsageError: There is nothing to answer.
    """
    piped = _stdin()
    if given:
        first = f"{given[0]}\n\n{piped}" if piped else given[0]
        prompts = [first, *given[1:]]
        if not all(text.strip() for text in prompts):
            raise UsageError("A message is empty.", hint="Write it behind -p.")
        return prompts
    if piped:
        return [piped]
    if sys.stdin.isatty() and sys.stdout.isatty():
        return None
    raise UsageError("There is no message.", hint="Send one with -p TEXT, or on stdin.")


def _stdin() -> str:
    """Read stdin where it is a pipe or a file."""
    try:
        kind = os.fstat(sys.stdin.fileno()).st_mode
    except (OSError, ValueError, AttributeError):
        return ""  # there is none
    if not (stat.S_ISFIFO(kind) or stat.S_ISREG(kind)):
        return ""
    return sys.stdin.buffer.read().decode(errors="replace").strip()
