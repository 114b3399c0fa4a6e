"""The engine: llama.cpp through its low-level bindings (`bindings.py`).

It knows tokens, positions and states; it knows nothing about messages, templates or sampling.
One context, one sequence, one user at a time: calls from several threads wait for each other, and
`owner` says whose the context's content is. What is read can be stopped by the `Stop` that was
handed over with it, and by closing the engine.
"""

from __future__ import annotations

import ctypes
import threading
import weakref
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from qwenpick.engine import bindings
from qwenpick.engine.bindings import Pointer, log, start
from qwenpick.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from qwenpick.engine.arguments import Arguments

    State = bytearray | memoryview

_SEQUENCE = 0
_ABORTED = 2  # what llama_decode returns after its abort callback said so (llama.h)


_PIECE_BYTES = 256  # room for one token's text, more where one is longer


class StoppedError(Exception):
    """A call of the engine was stopped; the context must be restored before it is used."""


class Stop:
    """Ends one turn: what is read with it stops within about 20 ms, and nothing is read after it.

    llama.cpp asks its abort callback at each node of the graph; that is libc's strlen, and the two
    bytes here are its argument. `set` may be called from a signal handler and from any thread.
    """

    def __init__(self) -> None:
        self._bytes = ctypes.create_string_buffer(2)
        self.address = ctypes.addressof(self._bytes)

    def set(self) -> None:
        """Ask for the end; it cannot be taken back."""
        self._bytes[0] = b"\1"

    @property
    def is_set(self) -> bool:
        """Whether the end was asked for."""
        return self._bytes[0] != b"\0"


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

    @cached_property
    def tags(self) -> tuple[str, ...]:
        """The texts of all control and user-defined tokens that look like `<tag>` or `[TAG]`.

        Others, such as runs of blanks, are a part of plain text. Found at the first use: 0.2 s for
        a vocabulary of 248,320 entries.
        """
        lib, vocab = self._lib, self._vocab
        special = lib.LLAMA_TOKEN_ATTR_CONTROL | lib.LLAMA_TOKEN_ATTR_USER_DEFINED
        with self._words:
            self._check_open()
            found = [
                self._piece(token, special=True).decode(errors="replace")
                for token in range(self.n_vocab)
                if lib.llama_vocab_get_attr(vocab, token) & special
            ]
        return tuple(text for text in found if text[:1] + text[-1:] in {"<>", "[]"})

    def chat_template(self) -> str | None:
        """Give the chat template of the file, None where it has none."""
        with self._words:
            self._check_open()
            template = self._lib.llama_model_chat_template(self._model, None)
        return template.decode() if template else None


class Engine(Vocabulary):
    """One model and one context.

    Args:
        path: A GGUF file whose header was checked: llama.cpp ends the process on some others.
        arguments: How to load it.
        watch: Is told which part is loaded, 0 to 1.

    Raises:
        RunError: llama.cpp refuses the file, or has no memory for it.
    """

    def __init__(
        self, path: Path, arguments: Arguments, *, watch: Callable[[float], None] | None = None
    ) -> None:
        self.path = path
        super().__init__(bindings.load_model(path, arguments, watch or (lambda _part: None)))
        self._context = bindings.make_context(self._model, arguments)
        self.buffers = log.buffers()
        """Bytes of each part that llama.cpp reported."""
        lib = self._lib
        self._memory = lib.llama_get_memory(self._context)
        self._batch = lib.llama_batch_init(arguments.n_batch, 0, 1)
        for index in range(arguments.n_batch):
            self._batch.n_seq_id[index] = 1
            self._batch.seq_id[index][0] = _SEQUENCE
        self.lock = threading.RLock()
        """Held while llama.cpp works with the context."""
        self._callback = bindings.abort_callback(lib)
        self._logs = bindings.silent_log_callback(lib), bindings.log_callback(lib)
        self._never = Stop()
        self._stops: list[Stop] = []
        """What ends the reading under way, and nothing else."""
        self._obey(self._never)
        self.n_ctx: int = lib.llama_n_ctx(self._context)
        self.n_batch = arguments.n_batch
        self.recurrent = bool(
            lib.llama_model_is_hybrid(self._model) or lib.llama_model_is_recurrent(self._model)
        )
        """Whether the model keeps a state that can't be rolled back without a checkpoint."""
        self.owner: object = None
        """Whose reading the context holds: anyone else has to begin with `clear`."""
        locks, handles = (self.lock, self._words), (self._batch, self._context, self._model)
        self._free = weakref.finalize(self, _free, lib, locks, self._stops, handles)

    def close(self) -> None:
        """Stop what is being read, and free the context and the model."""
        self._free()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Have the context for oneself; raises RunError once the engine was closed."""
        with self.lock:
            self._check_open()
            yield

    # Reading

    @contextmanager
    def reading(self, stop: Stop | None) -> Iterator[None]:
        """Have the context for oneself, with *stop* to end what is read in it.

        Raises:
            StoppedError: *stop* is set already.
            RunError: The engine was closed.
        """
        with self.lock:
            self._check_open()
            self._obey(stop or self._never)
            if self._stops[0].is_set:
                raise StoppedError
            yield

    def _obey(self, stop: Stop) -> None:
        """Have llama.cpp look at *stop* from now on."""
        if self._stops != [stop]:
            self._stops[:] = [stop]
            lib, nothing, (silent, taken) = self._lib, ctypes.c_void_p(0), self._logs
            lib.llama_log_set(silent, nothing)  # llama.cpp logs the call: Python in every turn
            lib.llama_set_abort_callback(self._context, self._callback, stop.address)
            lib.llama_log_set(taken, nothing)

    def read(
        self, tokens: Sequence[int], position: int, *, logits: bool, stop: Stop | None = None
    ) -> None:
        """Read up to n_batch tokens, the first at *position*.

        Args:
            tokens: What to read.
            position: Where the first of them stands in the sequence.
            logits: Whether those of the last token are wanted.
            stop: Ends it from elsewhere.

        Raises:
            StoppedError: *stop* was set.
            RunError: llama.cpp cannot: no room in the cache, or a state that does not fit.
        """
        batch = self._batch
        with self.reading(stop):
            for index, token in enumerate(tokens):
                batch.token[index] = token
                batch.pos[index] = position + index
                batch.logits[index] = 0
            batch.n_tokens = len(tokens)
            batch.logits[len(tokens) - 1] = logits
            self.check_read(self._lib.llama_decode(self._context, batch))

    def check_read(self, code: int) -> None:
        """Turn what llama_decode returned into the errors of `read`."""
        if code == _ABORTED or self._stops[0].is_set:
            raise StoppedError
        if code:
            raise RunError(
                f"The engine could not read on (llama_decode gave {code}).", hint=log.last_error()
            )

    def logits(self) -> memoryview[float]:
        """Give the logits of the last token read, n_vocab floats: valid until the next read.

        It is llama.cpp's own memory, so a sampler may write into it.
        """
        with self.alone():
            row = self._lib.llama_get_logits_ith(self._context, -1)
        if not row:
            raise RunError("The engine gave no logits.", hint=log.last_error())
        floats = (ctypes.c_float * self.n_vocab).from_address(ctypes.addressof(row.contents))
        return memoryview(floats).cast("B").cast("f")

    def draw(self, chain: Pointer) -> int:
        """Draw a token from the logits, which must be there, with a chain of samplers."""
        with self.alone():
            return int(self._lib.llama_sampler_sample(chain, self._context, -1))

    # The state

    def n_past(self) -> int:
        """Give the position after the last one in the cache, 0 where it is empty."""
        with self.alone():
            return int(self._lib.llama_memory_seq_pos_max(self._memory, _SEQUENCE)) + 1

    def clear(self) -> None:
        """Forget everything that was read."""
        with self.alone():
            self._lib.llama_memory_clear(self._memory, True)

    def truncate(self, position: int) -> bool:
        """Forget all from *position* on; false where the model can't, and nothing is sure."""
        with self.alone():
            done = bool(self._lib.llama_memory_seq_rm(self._memory, _SEQUENCE, position, -1))
            return done and self.n_past() == position

    def state_bytes(self, *, whole: bool = False) -> int:
        """Give the bytes that `save_state` would take now."""
        with self.alone():
            flags = self._state_flags(whole=whole)
            return int(self._lib.llama_state_seq_get_size_ext(self._context, _SEQUENCE, flags))

    def _state_flags(self, *, whole: bool) -> int:
        return 0 if whole else int(self._lib.LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY)

    def save_state(self, *, whole: bool = False, into: State | None = None) -> State:
        """Copy the recurrent state, or with *whole* the cache too; *into* is used if it is as long.

        Bytes that are written over cost no page faults.
        """
        flags = self._state_flags(whole=whole)
        with self.alone():
            size = self.state_bytes(whole=whole)
            data = into if into is not None and len(into) == size else bytearray(size)
            written = self._lib.llama_state_seq_get_data_ext(
                self._context, _bytes_at(data), size, _SEQUENCE, flags
            )
        return data if written == size else data[:written]

    def load_state(self, data: State, position: int, *, whole: bool = False) -> bool:
        """Put back a state that `save_state` gave at *position*; false where that did not work.

        First the state, then the cut: the other way round stale cells stay. That both say yes
        is no proof, so the position is looked at.
        """
        flags = self._state_flags(whole=whole)
        with self.alone():
            taken = self._lib.llama_state_seq_set_data_ext(
                self._context, _bytes_at(data), len(data), _SEQUENCE, flags
            )
            return bool(taken == len(data) and self.truncate(position))

    @property
    def handles(self) -> tuple[Pointer, Pointer]:
        """The model and the context, for the projector of images and nothing else."""
        with self.alone():
            return self._model, self._context


def _free(
    lib: Pointer,
    locks: tuple[Any, Any],
    stops: list[Stop],
    handles: tuple[Pointer, Pointer, Pointer],
) -> None:
    """Free an engine's memory, once nothing is read with it: also when Python ends."""
    stops[0].set()
    batch, context, model = handles
    with locks[0], locks[1]:
        lib.llama_batch_free(batch)
        lib.llama_free(context)
        lib.llama_model_free(model)


def _bytes_at(data: State) -> Pointer:
    """Point to bytes that may be written over; ctypes refuses others."""
    return ctypes.byref(ctypes.c_uint8.from_buffer(data))
