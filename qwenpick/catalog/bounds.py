"""What a setting of an answer may be, whoever sets it: the table, an option, the config, `/set`.

The bounds of OpenAI's API (temperature, top_p, presence_penalty: its reference of chat completions)
and of llama.cpp (top_k, min_p: tools/server/README.md; a seed is 32 bits, the last one "random").
"""

from __future__ import annotations

from qwenpick.errors import UsageError

VOCABULARY = 262_144
"""The largest vocabulary that small models have; more for top_k is all, which 0 says."""
BOUNDS: dict[str, tuple[float, float]] = {
    "temperature": (0.0, 2.0),
    "top_p": (0.0, 1.0),
    "top_k": (0, VOCABULARY),
    "min_p": (0.0, 1.0),
    "presence_penalty": (-2.0, 2.0),
    "seed": (0, 2**32 - 2),
    "max_tokens": (1, 10**9),
    "think_budget": (1, 10**9),
}
"""Lowest and highest; whole numbers where the setting is one."""


def sampling_value(name: str, value: str | float, *, called: str) -> float:
    """Read a setting's value, whole where the setting is.

    Args:
        name: A key of `BOUNDS`.
        value: What was typed, or what a config file says.
        called: What to call the setting in a message.

    Raises:
        UsageError: It is not a number, or out of bounds.
    """
    low, high = BOUNDS[name]
    kind = type(low)
    try:
        number = kind(value)
    except (ValueError, OverflowError):
        number = float("nan")
    if not low <= number <= high or (isinstance(value, float) and number != value):
        whole = "a whole number " if kind is int else ""
        raise UsageError(
            f"{called} cannot be {str(value)[:40]!r}.",
            hint=f"It is {whole}from {low:g} to {high if kind is int else format(high, 'g')}.",
        )
    return number
