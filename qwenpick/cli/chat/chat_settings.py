"""What /set can change: each setting's name, how it is read, and where it goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from qwenpick.catalog.bounds import sampling_value
from qwenpick.errors import UsageError

if TYPE_CHECKING:
    from qwenpick.chat.generation_config import GenerationConfig

_SAMPLING = ("temperature", "top-p", "top-k", "min-p", "presence-penalty")
_DIGITS = 9
_LIMITS = ("max-tokens", "think-budget")
SETTINGS = (*_SAMPLING, *_LIMITS, "stop", "seed", "mode", "show-thinking", "keys")
_OFF = {"off", "none", "no", "false"}


def apply(manner: GenerationConfig, name: str, value: str) -> str:
    """Change a setting of the conversation; `off` gives it back to the model.

    Returns:
        What holds now, as a line.

    Raises:
        UsageError: There is no such setting, or it can't have this value.
    """
    if name in _SAMPLING:
        key = name.replace("-", "_")
        others = {kept: number for kept, number in manner.overrides.items() if kept != key}
        manner.overrides = (
            others if value in _OFF else others | {key: sampling_value(key, value, called=name)}
        )
    elif name in _LIMITS:
        limit = None if value in _OFF else _whole(name, value)
        changed: dict[str, Any] = {name.replace("-", "_"): limit}
        manner.limits = replace(manner.limits, **changed)
    elif name == "stop":
        manner.limits = replace(manner.limits, stop=() if value in _OFF else (value,))
    elif name == "seed":
        manner.seed = None if value in _OFF else int(sampling_value("seed", value, called="seed"))
    elif name == "mode":
        manner.mode = one_of(name, value, ("general", "coding"))
    else:
        raise UsageError(f"{name} is no setting.", hint=f"Settings: {', '.join(SETTINGS)}.")
    return f"{name} {value}"


def shown(manner: GenerationConfig, sampling: Any) -> list[tuple[str, str]]:  # noqa: ANN401 - Sampling, for its names
    """Give what holds now, as names and words."""
    rows = [
        (name, f"{getattr(sampling, name.replace('-', '_')):g}"
         + ("" if name.replace("-", "_") in manner.overrides else " (the model's own)"))
        for name in _SAMPLING
    ]  # fmt: skip
    rows += [(name, _said(getattr(manner.limits, name.replace("-", "_")))) for name in _LIMITS]
    rows += [("stop", " ".join(map(repr, manner.limits.stop)) or "off")]
    return [*rows, ("seed", _said(manner.seed)), ("mode", manner.mode)]


def one_of(name: str, value: str, allowed: tuple[str, ...]) -> str:
    """Check a word against a few.

    Raises:
        UsageError: It is none of them.
    """
    if value not in allowed:
        raise UsageError(f"{name} can't be {value!r}.", hint=f"It is {' or '.join(allowed)}.")
    return value


def _said(value: int | None) -> str:
    return "off" if value is None else f"{value:,}"


def _whole(name: str, value: str) -> int:
    if not (value.isascii() and value.isdecimal() and len(value) <= _DIGITS and int(value)):
        raise UsageError(f"{name} can't be {value!r}.", hint="It is a whole number, or off.")
    return int(value)
