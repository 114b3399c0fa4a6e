"""Options that several commands take, each group a Struct, and how a MODEL is read.

`@spread` lets a command name a whole group as one parameter; typer sees its fields.
"""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer
from msgspec import Struct

from qwenpick import units
from qwenpick.catalog.model import WIDTHS
from qwenpick.errors import UsageError
from qwenpick.pick.request import UBATCHES, Request, check_kv_type

if TYPE_CHECKING:
    from collections.abc import Callable


def option(metavar: str, help_text: str, *names: str, **checks: Any) -> Any:  # noqa: ANN401 - typer's own
    """Make an option that takes a value.

    Args:
        metavar: What stands for the value in the help.
        help_text: One sentence.
        names: Its names; without any it is named as its parameter is.
        checks: Bounds and readers, as `typer.Option` takes them.
    """
    return typer.Option(*names, metavar=metavar, help=help_text, **checks)


def flag(name: str, help_text: str, *others: str) -> Any:  # noqa: ANN401 - typer's own
    """Make an option that is on or off: `--vision`, or `--think/--no-think`."""
    return typer.Option(name, *others, help=help_text)


Json = Annotated[bool, flag("--json", "Print one JSON document.")]
Yes = Annotated[bool, flag("--yes", "Do not prompt; assume yes.", "-y")]
ModelArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="[MODEL]",
        help="A size (9b), size and quantisation (9b:Q5_K_M), a .gguf file, a Hugging Face "
        "file (owner/repo:Q4_K_M), or demo.",
    ),
]

LONGEST_CONTEXT = 262_144
"""What the four sizes were trained for (config.json: max_position_embeddings)."""


def _width(name: str) -> Any:  # noqa: ANN401 - what typer.Option gives
    return flag(f"--{name}", f"--quant {WIDTHS[name]}")


class QuantOptions(Struct, frozen=True, kw_only=True):
    """Which quantisation: by name or by width."""

    quant: Annotated[str | None, option("NAME", "Quantisation, such as Q4_K_M.", "--quant")] = None
    q2: Annotated[bool, _width("q2")] = False
    q3: Annotated[bool, _width("q3")] = False
    q4: Annotated[bool, _width("q4")] = False
    q5: Annotated[bool, _width("q5")] = False
    q6: Annotated[bool, _width("q6")] = False
    q8: Annotated[bool, _width("q8")] = False
    bf16: Annotated[bool, _width("bf16")] = False

    def chosen(self) -> str | None:
        """Give the quantisation asked for, None where none was.

        Raises:
            UsageError: More than one was.
        """
        given = [quant for name, quant in WIDTHS.items() if getattr(self, name)]
        given += [self.quant] if self.quant else []
        if len({quant.casefold() for quant in given}) > 1:
            raise UsageError(
                f"More than one quantisation: {', '.join(given)}.", hint="Name one of them."
            )
        return given[0] if given else None


class SettingsOptions(Struct, frozen=True, kw_only=True):
    """Settings of the engine that the pick and the commands that load a model share."""

    context: Annotated[
        str | None, option("N", "Context length (8192, 32k). If given, it is never reduced.")
    ] = None
    kv_type: Annotated[str | None, option("T", "Type of the KV cache: f16, q8_0 or q4_0.")] = None
    ubatch: Annotated[int | None, option("N", "Prompt tokens processed at a time.")] = None
    repack: Annotated[
        bool | None,
        flag(
            "--repack/--no-repack",
            "Keep a second, CPU-optimised copy of the weights (faster, more memory).",
        ),
    ] = None

    def settled(self) -> Request:
        """Read them, as a request for nothing else.

        Raises:
            UsageError: One of them is invalid.
        """
        context = units.parse_context(self.context) if self.context is not None else None
        if context and context > LONGEST_CONTEXT:
            raise UsageError(
                f"A context of {self.context} is longer than the models support.",
                hint=f"The longest is {LONGEST_CONTEXT:,}: --context 256k",
            )
        if self.ubatch is not None and self.ubatch not in UBATCHES:
            raise UsageError(
                f"--ubatch {self.ubatch} is not supported.",
                hint=f"Choose from {', '.join(map(str, UBATCHES))}.",
            )
        return Request(
            context=context,
            kv_type=check_kv_type(self.kv_type) if self.kv_type else None,
            ubatch=self.ubatch,
            repack=self.repack,
        )


def spread(command: Callable[..., None]) -> Callable[..., None]:
    """Let typer see the fields of each parameter that is a group of options."""
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, type[Struct]] = {
        name: hint
        for name, hint in hints.items()
        if isinstance(hint, type) and issubclass(hint, Struct)
    }
    options: dict[str, inspect.Parameter] = {}
    for name, parameter in inspect.signature(command).parameters.items():
        options |= (
            inspect.signature(groups[name]).parameters if name in groups else {name: parameter}
        )
    for group in groups.values():
        hints |= get_type_hints(group, include_extras=True)

    @functools.wraps(command)
    def called(**values: Any) -> None:  # noqa: ANN401 - typer has checked them
        for name, group in groups.items():
            members = {name: values.pop(name) for name in group.__struct_fields__}
            values[name] = group(**members)
        command(**values)

    called.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            option.replace(annotation=hints[name], kind=inspect.Parameter.KEYWORD_ONLY)
            for name, option in options.items()
        ]
    )
    called.__annotations__ = {name: hints[name] for name in options}
    del called.__wrapped__
    return called
