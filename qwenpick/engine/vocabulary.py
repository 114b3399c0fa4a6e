"""A model's vocabulary: from text to tokens and back, and what else its file says of text."""

from __future__ import annotations

import ctypes
import threading
from typing import TYPE_CHECKING, Any

from qwenpick.engine.bindings import Pointer, log, start
from qwenpick.errors import RunError

if TYPE_CHECKING:
    import weakref

_PIECE_BYTES = 256  # room for one token's text, more where one is longer


class Vocabulary:
    """The vocabulary of a loaded model.

    Each call may come from any thread, and raises RunError once the engine was closed.
    """

    _free: weakref.finalize[Any, Any]
    """Frees the model and all that the engine made of it: the engine's to set."""

    def __init__(self, model: Pointer) -> None:
        self._lib = lib = start()
        self._model = model
        self._vocab = lib.llama_model_get_vocab(model)
        self._words = threading.Lock()
        self._buffer = ctypes.create_string_buffer(_PIECE_BYTES)
        self.n_vocab: int = lib.llama_vocab_n_tokens(self._vocab)

    def _check_open(self) -> None:
        """Refuse a model that was freed; asked with a lock in hand, which freeing waits for."""
        if not self._free.alive:
            raise RunError("The engine is closed.", hint="Load the model again.")

    def tokens(self, text: str, *, special: bool = True) -> list[int]:
        """Turn text into tokens; with *special*, control tokens written out are read as such."""
        data = text.encode()
        room = len(data) + 8
        tokens = (self._lib.llama_token * room)()
        with self._words:
            self._check_open()
            count = self._lib.llama_tokenize(
                self._vocab, data, len(data), tokens, room, False, special
            )
        if count < 0:
            raise RunError("The engine cannot turn this text into tokens.", hint=log.last_error())
        return list(tokens[:count])

    def text(self, token: int, *, special: bool = False) -> bytes:
        """Give the bytes of a token, not always whole characters; control tokens have none."""
        with self._words:
            self._check_open()
            return self._piece(token, special=special)

    def texts(self) -> list[bytes]:
        """Give the bytes of every token, control tokens written out."""
        with self._words:
            self._check_open()
            return [self._piece(token, special=True) for token in range(self.n_vocab)]

    def _piece(self, token: int, *, special: bool) -> bytes:
        """Give a token's bytes; the caller has the lock, since all share a buffer."""
        vocab, room = self._vocab, len(self._buffer)
        count = self._lib.llama_token_to_piece(vocab, token, self._buffer, room, 0, special)
        if count < 0:
            self._buffer = ctypes.create_string_buffer(-count)
            return self._piece(token, special=special)
        return ctypes.string_at(self._buffer, count)

    def is_eog(self, token: int) -> bool:
        """Whether a token ends the answer."""
        with self._words:
            self._check_open()
            return bool(self._lib.llama_vocab_is_eog(self._vocab, token))

    def bos_id(self) -> int | None:
        """Give the token that every text must begin with, None where the model wants none."""
        with self._words:
            self._check_open()
            wanted = self._lib.llama_vocab_get_add_bos(self._vocab)
            return int(self._lib.llama_vocab_bos(self._vocab)) if wanted else None

    def special_text(self, name: str) -> str:
        """Give the text of the token `bos` or `eos`, empty where the model has none."""
        with self._words:
            self._check_open()
            token = getattr(self._lib, f"llama_vocab_{name}")(self._vocab)
        return self.text(token, special=True).decode(errors="replace") if token >= 0 else ""

    def chat_template(self) -> str | None:
        """Give the chat template of the file, None where it has none."""
        with self._words:
            self._check_open()
            template = self._lib.llama_model_chat_template(self._model, None)
        return template.decode() if template else None
