"""Holds a reply to a schema, token by token: the only file that asks llguidance for tokens.

It knows nothing about sampling: it says whether a token may come next, and masks the
logits when it may not. Sample first, ask, and mask only when refused: walking 248,320
logits at every token would cost more than the model's own sampling.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qwenpick.errors import RunError

if TYPE_CHECKING:
    from llguidance import LLTokenizer

    from qwenpick.chat.schema import Schema
    from qwenpick.engine.engine import Vocabulary


class _Wrapper:
    """A model's vocabulary in the form that LLTokenizer asks for."""

    is_tokenizer_wrapper = True
    bos_token_id = None

    def __init__(self, of: Vocabulary) -> None:
        self.tokens = of.texts()
        self.special_token_ids = [
            token
            for token, text in enumerate(self.tokens)
            if text[:1] in (b"<", b"[", b"") and not of.text(token)
        ]
        self.eos_token_id = next(t for t in self.special_token_ids if of.is_eog(t))
        self._of = of

    def __call__(self, text: str | bytes) -> list[int]:
        whole = text.decode(errors="replace") if isinstance(text, bytes) else text
        return self._of.tokens(whole, special=False)


def make_tokenizer(vocabulary: Vocabulary) -> LLTokenizer:
    """Make llguidance's view of a model's vocabulary; about a second for Qwen3.5's."""
    from llguidance import LLTokenizer

    wrapper: Any = _Wrapper(vocabulary)
    ends = [token for token in wrapper.special_token_ids if vocabulary.is_eog(token)]
    return LLTokenizer(wrapper, eos_token=ends)


class Constraint:
    """Holds one reply to a schema, token by token.

    Args:
        schema: What the reply must meet.
        tokenizer: From `make_tokenizer`.

    Raises:
        RunError: The grammar is too large for llguidance's limits.
    """

    def __init__(self, schema: Schema, tokenizer: LLTokenizer) -> None:
        from llguidance import LLMatcher

        self._matcher = LLMatcher(tokenizer, schema.grammar, log_level=0)
        self._raise_error()

    def allows(self, token: int) -> bool:
        """Say whether *token* may come next."""
        return bool(self._matcher.validate_tokens([token]) == 1)

    def mask(self, logits: memoryview[float]) -> None:
        """Set the logits of all tokens that may not come next to minus infinity."""
        import numpy as np

        bits = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        allowed = np.unpackbits(bits, bitorder="little", count=len(logits)).astype(bool)
        self._raise_error()
        np.asarray(logits)[~allowed] = -np.inf

    def advance(self, token: int) -> None:
        """Take *token* as the next one of the reply."""
        self._matcher.consume_token(token)
        self._raise_error()

    def _raise_error(self) -> None:
        if self._matcher.is_error():
            lines = self._matcher.get_error().splitlines()
            raise RunError(
                f"Cannot enforce the schema: {lines[0]}.", hint="Make the schema simpler."
            )
