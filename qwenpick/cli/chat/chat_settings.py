"""What /set can change: each setting's name, how it is read, and where it goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qwenpick.catalog.bounds import sampling_value
from qwenpick.errors import UsageError

if TYPE_CHECKING:
    from qwenpick.app.chats import Chat

_SAMPLING = ("temperature", "top-p", "top-k", "min-p", "presence-penalty")
_WHOLE = ("max-tokens", "think-budget", "seed")
SETTINGS = (*_SAMPLING, *_WHOLE, "stop", "mode", "show-thinking", "keys")
_OFF = {"off", "none", "no", "false"}


def apply(chat: Chat, name: str, value: str) -> str:
    """Change a setting of the conversation; `off` gives it back to the model.

    Returns:
        What holds now, as a line.

    Raises:
        UsageError: There is no such setting, or it cannot have this value.
    """
    key, off = name.replace("-", "_"), value in _OFF
    if name in _SAMPLING:
        others = {other: number for other, number in chat.config.sampling.items() if other != key}
        changed = {} if off else {key: sampling_value(key, value, called=name)}
        chat.set_config(sampling=others | changed)
    elif name in _WHOLE:
        chat.set_config(**{key: None if off else int(sampling_value(key, value, called=name))})
    elif name == "stop":
        chat.set_config(stop=() if off else (value,))
    elif name == "mode":
        chat.set_config(mode=one_of(name, value, ("general", "coding")))
    else:
        raise UsageError(f"Unknown setting {name}.", hint=f"Choose from {', '.join(SETTINGS)}.")
    return f"{name} {value}"


def shown(chat: Chat) -> list[tuple[str, str]]:
    """Give what holds now, as names and words."""
    config, values = chat.config, chat.model.sampling(chat.messages, chat.config)
    rows = []
    for name in _SAMPLING:
        key = name.replace("-", "_")
        own = "" if key in config.sampling else " (the model's default)"
        rows.append((name, f"{getattr(values, key):g}{own}"))
    for name in _WHOLE:
        value = getattr(config, name.replace("-", "_"))
        rows.append((name, "off" if value is None else f"{value:,}"))
    return [*rows, ("stop", " ".join(map(repr, config.stop)) or "off"), ("mode", config.mode)]


def one_of(name: str, value: str, allowed: tuple[str, ...]) -> str:
    """Check a word against a few.

    Raises:
        UsageError: It is none of them.
    """
    if value not in allowed:
        raise UsageError(f"{name} cannot be {value!r}.", hint=f"It is {' or '.join(allowed)}.")
    return value
