"""The options of `chat`, each group a section of its help."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads it
from typing import Annotated, Any, Literal

from msgspec import Struct
from msgspec.structs import replace
from typer.core import TyperCommand

from qwenpick.catalog.bounds import BOUNDS, sampling_value
from qwenpick.cli.options import QuantOptions, SettingsOptions, flag, option
from qwenpick.errors import UsageError
from qwenpick.pick.request import Request  # noqa: TC001 - typer's reader resolves it

_EXAMPLES = (
    ('qwenpick chat 4b -p "Why is the sky blue?"', "answer and exit"),
    ('cat report.txt | qwenpick chat -p "Sum this up"', "ask about a text"),
    ('qwenpick chat 4b --image map.png -p "Where is it?"', "ask about an image"),
    ("qwenpick chat --resume", "continue the last one"),
)


def _sampling(name: str, help_text: str) -> Any:  # noqa: ANN401 - what typer.Option gives
    """Make the option of a sampling setting: with the same bounds as everywhere, NaN refused."""
    typed = f"--{name.replace('_', '-')}"

    def read(value: str) -> float:
        return sampling_value(name, value, called=typed)

    metavar = "N" if isinstance(BOUNDS[name][0], int) else "X"
    return option(metavar, help_text, typed, parser=read)


def _stop(value: str) -> str:
    if not value:
        raise UsageError("--stop needs a text.", hint="Such as: --stop END")
    return value


class MessageOptions(Struct, frozen=True, kw_only=True):
    """What is sent."""

    prompt: Annotated[
        list[str] | None,
        option("TEXT", "Answer this and exit; repeat for more turns.", "--prompt", "-p"),
    ] = None
    system: Annotated[str | None, option("TEXT", "System prompt.")] = None
    image: Annotated[
        list[str] | None, option("FILE|URL", "Attach an image to the first message.")
    ] = None
    schema: Annotated[str | None, option("FILE|JSON", "JSON schema of the answer.")] = None
    tools: Annotated[
        Path | None, option("FILE", "Tools that the model may call (OpenAI's form).")
    ] = None


class AnswerOptions(Struct, frozen=True, kw_only=True):
    """How it is answered."""

    think: Annotated[bool | None, flag("--think/--no-think", "Think before answering.")] = None
    think_budget: Annotated[int | None, option("N", "Most tokens of thinking.", min=1)] = None
    show_thinking: Annotated[
        bool, flag("--show-thinking", "Show the thinking as it is written.")
    ] = False
    mode: Annotated[
        Literal["general", "coding"],
        option("general|coding", "Which of Qwen's sampling values."),
    ] = "general"
    max_tokens: Annotated[int | None, option("N", "Most tokens of an answer.", min=1)] = None
    stop: Annotated[
        list[str] | None, option("TEXT", "End an answer at this text.", parser=_stop)
    ] = None
    seed: Annotated[int | None, _sampling("seed", "The same seed gives the same answer.")] = None
    temperature: Annotated[float | None, _sampling("temperature", "0 (greedy) to 2.")] = None
    top_p: Annotated[float | None, _sampling("top_p", "0 to 1.")] = None
    top_k: Annotated[int | None, _sampling("top_k", "0 considers all tokens.")] = None
    min_p: Annotated[float | None, _sampling("min_p", "0 to 1.")] = None
    presence_penalty: Annotated[float | None, _sampling("presence_penalty", "-2 to 2.")] = None

    def sampling(self) -> dict[str, float]:
        """Give the sampling values that were set."""
        names = ("temperature", "top_p", "top_k", "min_p", "presence_penalty")
        given = {name: getattr(self, name) for name in names}
        return {name: value for name, value in given.items() if value is not None}


class LoadOptions(SettingsOptions, frozen=True, kw_only=True):
    """How the model is loaded."""

    threads: Annotated[int | None, option("N", "CPU threads.", min=1, max=512)] = None
    gpu_layers: Annotated[int | None, option("N", "Layers on the GPU.", min=0, max=1000)] = None
    force: Annotated[bool, flag("--force", "Load the model even if it does not fit.")] = False

    def wish(self, *, vision: bool) -> Request:
        """Read what belongs to the pick.

        Raises:
            UsageError: One of them cannot be understood.
        """
        return replace(self.settled(), vision=vision, gpu_layers=self.gpu_layers)


class SaveOptions(Struct, frozen=True, kw_only=True):
    """Which conversation, and whether it is saved."""

    resume: Annotated[bool, flag("--resume", "Continue the last conversation.")] = False
    session: Annotated[str | None, option("NAME", "Continue this conversation.")] = None
    no_save: Annotated[bool, flag("--no-save", "Save nothing.")] = False
    no_read_ahead: Annotated[
        bool, flag("--no-read-ahead", "Do not pre-process the next prompt while you type.")
    ] = False


_SECTIONS: dict[str, type[Struct]] = {
    "Message": MessageOptions,
    "Thinking and sampling": AnswerOptions,
    "Quantisation": QuantOptions,
    "Loading": LoadOptions,
    "Conversation": SaveOptions,
}


class ChatCommand(TyperCommand):
    """`chat`, with its help in sections and examples at the end."""

    def format_options(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401 - typer's own click
        """Write the options of each group below its title, and the rest at the end."""
        titles = {
            name: title for title, group in _SECTIONS.items() for name in group.__struct_fields__
        }
        sections: dict[str, list[tuple[str, str]]] = {
            title: [] for title in ("Arguments", *_SECTIONS, "Options")
        }
        for parameter in self.get_params(ctx):
            other = "Arguments" if parameter.param_type_name == "argument" else "Options"
            if record := parameter.get_help_record(ctx):
                sections[titles.get(parameter.name or "", other)].append(record)
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records, col_max=26)
        with formatter.section("Examples"):
            for command, does in _EXAMPLES:
                formatter.write(f"  {command:<51} {does}\n")
