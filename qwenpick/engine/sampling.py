"""From logits to a token, with llama.cpp's own samplers.

The order is theirs: penalty, top_k, top_p, min_p, temperature, a draw. The penalty comes before
top_k (the other way round shifts the distribution) and touches only tokens that were seen, so the
vocabulary's 248,320 entries are gone through once: each is laid beside its number, and the
largest k are picked out.
"""

from __future__ import annotations

import math
import weakref
import zlib
from typing import TYPE_CHECKING, Protocol

from msgspec.structs import replace

from qwenpick.catalog.model import Sampling
from qwenpick.engine.bindings import Pointer, start
from qwenpick.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qwenpick.catalog.model import Model
    from qwenpick.engine.engine import Engine

GREEDY = Sampling(temperature=0.0, top_p=1.0, top_k=0, min_p=0.0, presence_penalty=0.0)


class Mask(Protocol):
    """What may come next: a schema's hook, asked after sampling."""

    def allows(self, token: int) -> bool:
        """Say whether the token may come next."""

    def mask(self, logits: memoryview[float]) -> None:
        """Set the logits of all tokens that may not come next to minus infinity."""

    def advance(self, token: int) -> None:
        """Take note that the token came."""


class Sampler:
    """Draws the tokens of one answer.

    Args:
        engine: Whose logits are drawn from.
        values: Temperature 0 is greedy.
        seed: The same seed gives the same draws; None gives others each time.
        mask: Asked for each token; the whole vocabulary is masked only where it refuses one.
    """

    def __init__(
        self,
        engine: Engine,
        values: Sampling,
        seed: int | list[int] | None = None,
        mask: Mask | None = None,
    ) -> None:
        self._engine = engine
        self._penalty = values.presence_penalty
        number = None if seed is None else zlib.crc32(repr(seed).encode()) >> 1
        lib = start()
        self._chain = _make_chain(lib, values, number)
        weakref.finalize(self, lib.llama_sampler_free, self._chain)
        self._mask = mask
        self._seen: set[int] = set()

    def sample(self, *, masked: bool = True) -> int:
        """Draw the next token; the engine's logits are written into.

        Args:
            masked: Whether the mask holds here; inside a thought it does not.

        Raises:
            RunError: The mask leaves no token at all, or the engine was closed.
        """
        with self._engine.alone():  # the logits are the engine's own memory
            logits = self._engine.logits()
            if self._penalty:
                for token in self._seen:
                    logits[token] -= self._penalty
            token = self._engine.draw(self._chain)
            if self._mask and masked:
                token = self._held(token, logits, self._mask)
        self._seen.add(token)
        return token

    def _held(self, token: int, logits: memoryview[float], mask: Mask) -> int:
        """Give the token, another one where the mask refuses it."""
        if not mask.allows(token):
            mask.mask(logits)
            token = self._engine.draw(self._chain)
            if logits[token] == -math.inf:
                raise RunError("Nothing that the model could say fits the schema.")
        mask.advance(token)
        return token


def _make_chain(lib: Pointer, values: Sampling, seed: int | None) -> Pointer:
    """Make llama.cpp's own samplers, in its own order, for the caller to free.

    At temperature 0 the largest is taken: top_k of 1 finds it in three quarters of the time that
    the greedy sampler takes.
    """
    params = lib.llama_sampler_chain_default_params()
    params.no_perf = True
    chain = lib.llama_sampler_chain_init(params)
    for sampler in (
        lib.llama_sampler_init_top_k(1 if values.temperature <= 0 else values.top_k),
        lib.llama_sampler_init_top_p(values.top_p, 1),
        lib.llama_sampler_init_min_p(values.min_p, 1),
        lib.llama_sampler_init_temp(values.temperature),
        lib.llama_sampler_init_dist(lib.LLAMA_DEFAULT_SEED if seed is None else seed),
    ):
        lib.llama_sampler_chain_add(chain, sampler)
    return chain


def values_for(
    model: Model | None,
    metadata: Mapping[str, object],
    *,
    thinking: bool,
    mode: str = "general",
    images: bool = False,
) -> Sampling:
    """Give a model's own sampling values for a mode.

    Args:
        model: The size of the catalogue, None for any other file.
        metadata: The file's header: `general.sampling.*` is used for any other file.
        thinking: Whether it thinks.
        mode: general or coding.
        images: Whether the conversation has any.

    Returns:
        The catalogue's row of the mode, else of thinking or no_thinking; the file's own values;
        greedy where it has none.
    """
    if model:
        base = "thinking" if thinking else "no_thinking"
        wanted = [f"{base}_vision"] if images else []
        wanted += [f"{base}_{mode}", base]
        return next((model.sampling[name] for name in wanted if name in model.sampling), GREEDY)
    own = {
        name: metadata.get(f"general.sampling.{key}")
        for name, key in (
            ("temperature", "temp"), ("top_p", "top_p"), ("top_k", "top_k"), ("min_p", "min_p"),
        )
    }  # fmt: skip
    given = {name: value for name, value in own.items() if isinstance(value, int | float)}
    if not given:
        return GREEDY
    return replace(GREEDY, **({"temperature": 1.0} | given))
