"""From logits to a token: one walk over the vocabulary.

The order is llama.cpp's: penalty, top_k, top_p, min_p, temperature, a draw. The penalty comes
before top_k (the other way round shifts the distribution) and touches only tokens that were
seen, so the vocabulary's 248,320 entries are walked once, to find the largest k.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from qwenpick.catalog.model import Sampling
from qwenpick.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from qwenpick.catalog.model import Model

GREEDY = Sampling(temperature=0.0, top_p=1.0, top_k=0, min_p=0.0, presence_penalty=0.0)
_GROUPS = 1024


class Mask(Protocol):
    """What may come next: a schema's hook, asked after sampling."""

    def allows(self, token: int) -> bool:
        """Say whether the token may come next."""

    def mask(self, logits: NDArray[np.float32]) -> None:
        """Set the logits of all tokens that may not come next to minus infinity."""

    def advance(self, token: int) -> None:
        """Take note that the token came."""


class Sampler:
    """Draws the tokens of one answer.

    Args:
        values: Temperature 0 is greedy.
        seed: The same seed gives the same draws; None gives others each time.
        mask: Asked for each token; the whole vocabulary is masked only where it refuses one.
    """

    def __init__(
        self, values: Sampling, seed: int | list[int] | None = None, mask: Mask | None = None
    ) -> None:
        self._values = values
        self._random = np.random.default_rng(seed)
        self._mask = mask
        self._seen: dict[int, None] = {}

    def sample(self, logits: NDArray[np.float32], *, masked: bool = True) -> int:
        """Draw the next token; *logits* is written into.

        Args:
            logits: Shape (n_vocab,).
            masked: Whether the mask holds here; inside a thought it does not.

        Raises:
            RunError: The mask leaves no token at all.
        """
        penalty = self._values.presence_penalty
        if penalty and self._seen:
            logits[np.fromiter(self._seen, np.intp, len(self._seen))] -= penalty
        token = self._draw(logits)
        if self._mask and masked:
            if not self._mask.allows(token):
                self._mask.mask(logits)
                token = self._draw(logits)
                if logits[token] == -np.inf:
                    raise RunError("Nothing that the model could say fits the schema.")
            self._mask.advance(token)
        self._seen[token] = None
        return token

    def _draw(self, logits: NDArray[np.float32]) -> int:
        values = self._values
        if values.temperature <= 0 or values.top_k == 1:
            return int(logits.argmax())
        tokens = largest(logits, values.top_k)
        # by falling logit; equal ones by number, so that a seed gives the same text everywhere
        tokens = tokens[np.lexsort((tokens, -logits[tokens]))]
        if values.top_k > 0:
            tokens = tokens[: values.top_k]
        chosen = logits[tokens].astype(np.float64)
        share = _shares(chosen)
        before = np.cumsum(share) - share
        keep = (before < values.top_p) & (share >= values.min_p * share[0])
        keep[0] = True
        ends = np.cumsum(_shares(chosen[keep] / values.temperature))
        drawn = int(np.searchsorted(ends, self._random.random() * ends[-1], side="right"))
        return int(tokens[keep][min(drawn, len(ends) - 1)])


def largest(logits: NDArray[np.float32], count: int) -> NDArray[np.intp]:
    """Give the indices of at least the *count* largest logits, in no order; all where it is 0.

    The count-th largest of the maxima of 1,024 groups is no larger than the count-th largest of
    all, so one walk for the maxima and one comparison find a few more than count.
    """
    size = logits.size
    if count <= 0 or count >= size:
        return np.arange(size)
    rows = size // _GROUPS
    if count > _GROUPS or rows < 2:  # noqa: PLR2004 - a group of one has nothing to sum up
        return np.argpartition(logits, size - count)[size - count :]
    maxima = logits[: rows * _GROUPS].reshape(rows, _GROUPS).max(axis=0)
    bound = np.partition(maxima, _GROUPS - count)[_GROUPS - count]
    return np.flatnonzero(logits >= bound)


def values_for(
    model: Model | None,
    metadata: Mapping[str, object],
    *,
    thinking: bool,
    mode: str = "general",
    pictures: bool = False,
) -> Sampling:
    """Give a model's own sampling values for a mode.

    Args:
        model: The size of the catalogue, None for any other file.
        metadata: The file's header: `general.sampling.*` is used for any other file.
        thinking: Whether it thinks.
        mode: general or coding.
        pictures: Whether the conversation has any.

    Returns:
        The catalogue's row of the mode, else of thinking or no_thinking; the file's own values;
        greedy where it has none.
    """
    if model:
        base = "thinking" if thinking else "no_thinking"
        wanted = [f"{base}_vision"] if pictures else []
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
    return replace(GREEDY, **({"temperature": 1.0} | given))  # type: ignore[arg-type]  # checked above


def _shares(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Softmax of logits whose first is the largest."""
    powers = np.exp(logits - logits[0])
    shares: NDArray[np.float64] = powers / powers.sum()
    return shares
