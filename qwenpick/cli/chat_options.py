"""The options of `chat`, in groups: how to sample, how to load, what to keep."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads it
from typing import Annotated, Any

import typer
from msgspec import Struct
from msgspec.structs import replace

from qwenpick.catalog.bounds import BOUNDS, sampling_value
from qwenpick.cli.options import SettingsOptions
from qwenpick.errors import UsageError
from qwenpick.pick.request import Request  # noqa: TC001 - typer's reader resolves it

MODES = ("general", "coding")


def _sampling(name: str, help_text: str) -> Any:  # noqa: ANN401 - what typer.Option gives
    """Make the option of a sampling setting: bounded as everywhere, NaN refused."""
    option = f"--{name.replace('_', '-')}"

    def read(value: str) -> float:
        return sampling_value(name, value, called=option)

    metavar = "N" if isinstance(BOUNDS[name][0], int) else "X"
    return typer.Option(option, metavar=metavar, parser=read, help=help_text)


class SamplingOptions(Struct, frozen=True, kw_only=True):
    """Sampling values in place of the model's own."""

    seed: Annotated[int | None, _sampling("seed", "The same seed, the same text.")] = None
    temperature: Annotated[float | None, _sampling("temperature", "0 to 2; 0 is greedy.")] = None
    top_p: Annotated[float | None, _sampling("top_p", "0 to 1.")] = None
    top_k: Annotated[int | None, _sampling("top_k", "0 is all.")] = None
    min_p: Annotated[float | None, _sampling("min_p", "0 to 1.")] = None
    presence_penalty: Annotated[float | None, _sampling("presence_penalty", "-2 to 2.")] = None

    def overrides(self) -> dict[str, float]:
        """Give those that were given."""
        names = ("temperature", "top_p", "top_k", "min_p", "presence_penalty")
        given = {name: getattr(self, name) for name in names}
        return {name: value for name, value in given.items() if value is not None}


class LoadOptions(SettingsOptions, frozen=True, kw_only=True):
    """How the engine is to load the model."""

    threads: Annotated[int | None, typer.Option(min=1, max=512, metavar="N")] = None
    gpu_layers: Annotated[int | None, typer.Option(min=0, max=1000, metavar="N")] = None
    force: Annotated[bool, typer.Option("--force", help="Load a model that does not fit.")] = False

    def wish(self, *, vision: bool) -> Request:
        """Read what belongs to the pick.

        Raises:
            UsageError: One of them can't be understood.
        """
        return replace(self.settled(), vision=vision, gpu_layers=self.gpu_layers)


class TurnOptions(Struct, frozen=True, kw_only=True):
    """What is said, and how it is to be answered."""

    prompt: Annotated[
        list[str] | None,
        typer.Option("--prompt", "-p", metavar="TEXT", help="Answer and end; each one a turn."),
    ] = None
    system: Annotated[str | None, typer.Option(metavar="TEXT", help="The system prompt.")] = None
    image: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE|URL", help="A picture for the first turn."),
    ] = None
    think: Annotated[
        bool | None, typer.Option("--think/--no-think", help="Think before answering.")
    ] = None
    think_budget: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Tokens to think at the most.")
    ] = None
    show_thinking: Annotated[
        bool, typer.Option("--show-thinking", help="Write the thinking out, too.")
    ] = False
    mode: Annotated[str, typer.Option(metavar="general|coding")] = "general"
    max_tokens: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Tokens of an answer at the most.")
    ] = None
    stop: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="End an answer at this text.")
    ] = None
    schema: Annotated[
        str | None, typer.Option(metavar="FILE|JSON", help="A JSON schema that the answer meets.")
    ] = None
    tools: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Functions that the model may call.")
    ] = None

    def check(self) -> None:
        """Check what typer does not.

        Raises:
            UsageError: There is no such mode, or a text is empty.
        """
        if self.mode not in MODES:
            raise UsageError(f"{self.mode!r} is no mode.", hint=f"Modes: {', '.join(MODES)}.")
        if any(not text for text in self.stop or ()):
            raise UsageError("--stop needs a text.", hint="Such as: --stop END")


class KeepOptions(Struct, frozen=True, kw_only=True):
    """What is kept of the conversation."""

    no_read_ahead: Annotated[
        bool, typer.Option("--no-read-ahead", help="Read only when something was said.")
    ] = False
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the last conversation.")] = (
        False
    )
    session: Annotated[
        str | None, typer.Option(metavar="NAME", help="Go on with this conversation.")
    ] = None
    no_save: Annotated[bool, typer.Option("--no-save", help="Keep nothing.")] = False
