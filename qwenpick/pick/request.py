"""What was asked for, and the settings that answer it."""

from __future__ import annotations

from typing import Literal, get_args

from msgspec import Struct

from qwenpick.errors import UsageError

Use = Literal["chat", "agent", "server", "mobile", "iot", "max-performance"]
KvType = Literal["f16", "q8_0", "q4_0"]

USES: tuple[Use, ...] = get_args(Use)
KV_TYPES: tuple[KvType, ...] = get_args(KvType)
UBATCHES = (512, 256, 192, 128, 64)
"""Prompt batch sizes, in the order in which a pick gives way."""


class Request(Struct, frozen=True, kw_only=True):
    """What a person asks for; None is "as you think best"."""

    use: Use = "chat"
    users: int = 1
    """How many are answered at once, each with a context of their own."""
    patience: float | None = None
    """Seconds after which an answer is worth half, in place of the use's."""
    thinking: bool | None = None
    context: int | None = None
    """Tokens, of each user."""
    vision: bool = False
    min_speed: float | None = None
    """Tokens per second, at the least."""
    size: str | None = None
    quant: str | None = None
    kv_type: KvType | None = None
    ubatch: int | None = None
    repack: bool | None = None
    gpu_layers: int | None = None
    """Layers that are to lie on the devices, the output counted as one."""


class Settings(Struct, frozen=True, kw_only=True):
    """How the engine is to load a model and make its context."""

    context: int
    """Tokens, of each user."""
    users: int = 1
    thinking: bool = False
    kv_type: KvType = "f16"
    gpu_layers: int = 0
    """Layers on the devices, of `layers`."""
    layers: int = 0
    """All of the model's, the output counted as one; 0 where nobody placed them."""
    checkpoints: int = 4
    """Copies of the recurrent state that each user's conversation may keep to go back to."""
    threads: int = 1
    ubatch: int = 512
    repack: bool = False

    @property
    def all_contexts(self) -> int:
        """Tokens of all users' contexts together."""
        return self.context * self.users


def ubatches(*, repack: bool, cards: bool) -> tuple[int, ...]:
    """Give the batch sizes to try, the best first.

    A processor with the weights as they are reads a prompt 192 tokens at a time as fast as 512, in
    41 MiB less. With repacked ones it is slower, and a card wants more (docs/decisions.md).
    """
    return UBATCHES if repack or cards else UBATCHES[2:]


def check_use(text: str) -> Use:
    """Read a use.

    Raises:
        UsageError: There is no such use.
    """
    for use in USES:
        if use == text.casefold():
            return use
    raise UsageError(f"Unknown use {text!r}.", hint=f"Choose from {', '.join(USES)}.")


def check_kv_type(text: str) -> KvType:
    """Read a type of KV cache.

    Raises:
        UsageError: The engine has no such type, or we do not offer it.
    """
    for kv_type in KV_TYPES:
        if kv_type == text.casefold():
            return kv_type
    raise UsageError(f"Unknown KV cache type {text!r}.", hint=f"Choose from {', '.join(KV_TYPES)}.")
