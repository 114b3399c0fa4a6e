"""Our own engine, as a worker of turn_workers.py: a conversation, and what only ours can do."""

# ruff: noqa: D102 - the commands are one line each, and named in turn_rows.py

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import convert, to_builtins
from msgspec.structs import replace

from qwenpick.app import state
from qwenpick.chat.chat_model import ChatModel
from qwenpick.chat.events import Answer, Finished, Reading
from qwenpick.chat.generation_config import GenerationConfig, ModelInfo
from qwenpick.chat.messages import Message
from qwenpick.cli.interrupt import stopping
from qwenpick.engine.arguments import arguments
from qwenpick.engine.bindings import start
from qwenpick.engine.dry_load import compute_buffers
from qwenpick.engine.engine import Engine, Stop
from qwenpick.pick.memory import FileFacts, checkpoint_bytes, memory_sum, predicted_peak
from qwenpick.pick.request import Settings, ubatches
from qwenpick.pull.gguf.model_file import read_model

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qwenpick.chat.events import Event

OWNER = state.Owner(model="bench", engine_version="", kv_type="f16")


class Ours:
    """qwenpick's own conversation."""

    def __init__(self, path: str, context: int, *, repack: bool, threads: int) -> None:
        self.path = Path(path)
        batch = ubatches(repack=repack, cards=False)[0]
        self.settings = Settings(context=context, threads=threads, repack=repack, ubatch=batch)
        self.state_bytes = checkpoint_bytes(read_model(self.path).architecture)
        self.engine = Engine(self.path, arguments(self.settings))
        self.config = GenerationConfig(sampling={"temperature": 0.0}, guard=False)
        self.messages: list[Message] = []
        self.model = ChatModel(self.engine, ModelInfo())
        self.stop = Stop()
        self.reset()

    def reset(self, checkpoints: int = 4) -> dict[str, Any]:
        self.model.close()
        self.engine.clear()
        budget = checkpoints * self.state_bytes
        self.model = ChatModel(self.engine, ModelInfo(), checkpoint_bytes=budget)
        self.messages = []
        return {}

    def send(self, text: str, **changes: object) -> Iterator[Event]:
        """Have the conversation answered, with *text* behind it."""
        self.stop = Stop()
        self.config = replace(self.config, **changes)
        self.messages = [*self.messages, Message(role="user", content=text)]
        return self.model.answer(self.messages, self.config, stop=self.stop)

    def turn(self, text: str, kept: str, *, answer: int, think: int, wait: float) -> dict[str, Any]:
        time.sleep(wait)
        budget = think or None
        *_, last = self.send(
            text, thinking=think > 0, max_tokens=think + answer, think_budget=budget
        )
        assert isinstance(last, Finished)
        turn = last.turn
        self.messages.append(Message(role="assistant", content=kept, reasoning=turn.thinking))
        self.model.prefill_ahead(self.messages, self.config)
        return {
            "first": turn.first_token_seconds,
            "decode": turn.decode_rate,
            "prompt": turn.prompt_tokens,
            "cached": turn.cached_tokens,
        }

    def cut(self, text: str, tokens: int, start: int = 0) -> dict[str, Any]:
        """Cut so many tokens out of a text that is repeated."""
        found = self.engine.tokens(text)
        found = (found * ((start + tokens) // len(found) + 1))[start : start + tokens]
        return {"text": b"".join(map(self.engine.text, found)).decode(errors="ignore")}

    def sum(self, checkpoints: int) -> dict[str, Any]:
        """Give the sum for what was read, with so many checkpoints."""
        file = read_model(self.path)
        weights = sum(tensor.bytes for tensor in file.header.tensors)
        total = memory_sum(
            file.architecture,
            FileFacts(
                bytes=file.header.file_bytes,
                weights=weights,
                compute=compute_buffers(self.path),
            ),
            self.settings,
            checkpoints=checkpoints * self.state_bytes,
        )
        self.model.stop_prefill()
        return {"bytes": predicted_peak(total, self.settings, read=self.model.n_tokens)}

    def save(self, path: str) -> dict[str, Any]:
        self.model.wait_prefill()
        self.model.close()
        state.save(self.model.prefix_cache, Path(path), OWNER)
        messages = [to_builtins(one) for one in self.messages]
        return {"bytes": Path(path).stat().st_size, "messages": messages}

    def resume(self, path: str, messages: list[dict[str, Any]], text: str) -> dict[str, Any]:
        started = time.perf_counter()
        assert state.load(self.model.prefix_cache, Path(path), OWNER) is None
        self.messages = convert(messages, list[Message])
        seconds = time.perf_counter() - started
        return {"first": seconds + self.turn(text, "", answer=1, think=0, wait=0)["first"]}

    def bare(self, count: int) -> dict[str, Any]:
        """Decode in a plain loop of llama_decode and llama.cpp's greedy sampler."""
        self.model.close()
        self.model.prefix_cache.rewind()
        position = self.model.prefix_cache.position
        lib = start()
        context: Any = self.engine.handles[1]
        sampler = lib.llama_sampler_init_greedy()
        batch = lib.llama_batch_init(1, 0, 1)
        batch.n_tokens, batch.n_seq_id[0], batch.seq_id[0][0], batch.logits[0] = 1, 1, 0, 1
        batch.token[0] = 100
        times = []
        for index in range(count):
            batch.pos[0] = position + index
            assert not lib.llama_decode(context, batch)
            batch.token[0] = lib.llama_sampler_sample(sampler, context, -1)
            times.append(time.perf_counter())
        lib.llama_batch_free(batch)
        lib.llama_sampler_free(sampler)
        self.model.prefix_cache.forget()
        return {"decode": (count - 1) / (times[-1] - times[0])}

    def interrupt(self, text: str, after: float, *, answering: bool) -> dict[str, Any]:
        """Send this process a SIGINT *after* seconds of a turn; how long until it is silent?

        With *answering* they are counted from the first piece of the answer.
        """
        sent: list[float] = []

        def send() -> None:
            sent.append(time.perf_counter())
            os.kill(os.getpid(), signal.SIGINT)

        timer = threading.Timer(after, send)
        events = self.send(text, max_tokens=None)
        with stopping(self.stop.set):
            for event in events:
                if isinstance(event, Answer if answering else Reading) and not timer.ident:
                    timer.start()
                if isinstance(event, Finished):
                    ended = time.perf_counter()
                    assert event.turn.finish == "interrupted"
                    assert bool(event.turn.completion_tokens) == answering
        return {"seconds": ended - sent[0]}

    def stop_ahead(self, text: str, after: float) -> dict[str, Any]:
        """Stop the reading of a long answer, as a new message does; how long does it take?"""
        self.messages = [
            Message(role="user", content="Say something long."),
            Message(role="assistant", content=text),
        ]
        self.model.prefill_ahead(self.messages, self.config)
        busy = not self.model.wait_prefill(after)
        started = time.perf_counter()
        self.model.stop_prefill()
        return {"seconds": time.perf_counter() - started, "busy": busy}
