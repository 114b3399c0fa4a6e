"""One engine in a process of its own, driven line by line: ours, llama_cpp.Llama, xllamacpp.

    python turn_workers.py ours|llama|xllamacpp MODEL CONTEXT REPACK

Each line on stdin is a JSON command, each answer a JSON line on stdout. `turn_workers.py` must
start in a venv that knows nothing of qwenpick, so only `Ours` imports it.
"""

# ruff: noqa: PLC0415 - each engine is imported only in its own process
# ruff: noqa: D102 - the commands are one line each, and named in turns.py

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

THREADS = 2


class Ours:
    """qwenpick's own conversation."""

    def __init__(self, path: str, context: int, *, repack: bool) -> None:
        from qwenpick.pick.wish import Settings
        from qwenpick.run.engine import Engine
        from qwenpick.run.settings import arguments

        settings = Settings(context=context, threads=THREADS, repack=repack)
        self.engine = Engine(Path(path), arguments(settings))
        self.talk: Any = None
        self.reset()

    def reset(self, checkpoints: int = 4, *, reuse: bool = True) -> dict[str, Any]:
        from qwenpick.run.chat import Conversation, Manner, Speaker

        if self.talk:
            self.talk.close()
        self.engine.clear()
        budget = checkpoints * (self.engine.state_bytes() or 0)
        manner = Manner(overrides={"temperature": 0.0}, read_ahead=reuse)
        # the state of an empty context is smaller than a used one's: 1 MiB of room for each
        budget += checkpoints << 20
        self.talk = Conversation(self.engine, Speaker(), manner, budget=budget, reuse=reuse)
        return {}

    def turn(self, text: str, answer: int, think: int = 0, wait: float = 0) -> dict[str, Any]:
        from qwenpick.run.events import Finished
        from qwenpick.run.reply import Limits

        time.sleep(wait)
        self.talk.manner.thinking = think > 0
        self.talk.manner.limits = Limits(
            max_tokens=think + answer, think_budget=think or None, guard=False
        )
        *_, last = self.talk.say(text)
        assert isinstance(last, Finished)
        turn = last.turn
        return {
            "first": turn.first_token_seconds,
            "decode": turn.decode_rate,
            "prompt": turn.prompt_tokens,
            "cached": turn.cached_tokens,
        }

    def cut(self, text: str, tokens: int) -> dict[str, Any]:
        """Make a text of so many tokens by repeating another."""
        found = self.engine.tokens(text)
        found = (found * (tokens // len(found) + 1))[:tokens]
        return {"text": b"".join(map(self.engine.text, found)).decode(errors="ignore")}

    def save(self, path: str) -> dict[str, Any]:
        from qwenpick.run import state

        self.talk.ahead.wait()
        self.talk.close()
        owner = state.Owner(model="bench", engine_version="", kv_type="f16")
        state.save(self.talk.reader, Path(path), owner)
        return {"bytes": Path(path).stat().st_size, "messages": self.talk.messages}

    def resume(self, path: str, messages: list[dict[str, Any]]) -> dict[str, Any]:
        from qwenpick.run import state

        started = time.perf_counter()
        owner = state.Owner(model="bench", engine_version="", kv_type="f16")
        assert state.load(self.talk.reader, Path(path), owner) is None
        self.talk.messages = messages
        seconds = time.perf_counter() - started
        return {"first": seconds + self.turn("And one more thing?", 1)["first"]}

    def bare(self, count: int) -> dict[str, Any]:
        """Decode in a plain loop of llama_decode and llama.cpp's greedy sampler."""
        import llama_cpp.llama_cpp as lib

        self.talk.close()
        self.talk.reader.settle()
        engine, position = self.engine, self.talk.reader.position
        context: Any = engine.handles[1]
        sampler = lib.llama_sampler_init_greedy()
        token = 100
        started = time.perf_counter()
        for index in range(count):
            engine.read((token,), position + index, logits=True)
            token = lib.llama_sampler_sample(sampler, context, -1)
        seconds = time.perf_counter() - started
        lib.llama_sampler_free(sampler)
        self.talk.reader.forget()
        return {"decode": count / seconds}

    def interrupt(self, text: str, after: float) -> dict[str, Any]:
        """Send this process a SIGINT *after* seconds of a turn; how long until it is silent?"""
        from qwenpick.run.interrupt import stopping

        sent: list[float] = []

        def send() -> None:
            sent.append(time.perf_counter())
            os.kill(os.getpid(), signal.SIGINT)

        timer = threading.Timer(after, send)
        with stopping(self.talk.stop):
            timer.start()
            events = [type(event).__name__ for event in self.talk.say(text)]
        ended = time.perf_counter()
        self.talk.close()
        while "Answer" in events and events[-1] != "Finished":
            events.pop()
        return {"seconds": ended - sent[0], "answering": "Answer" in events}


class Llama:
    """llama_cpp.Llama, as its documentation has it."""

    def __init__(self, path: str, context: int, *, repack: bool) -> None:
        from llama_cpp import Llama as Class

        assert repack, "llama_cpp.Llama always repacks"
        self.llama: Any = Class(
            path, n_ctx=context, n_threads=THREADS, n_threads_batch=THREADS, verbose=False
        )
        self.reset()

    def reset(self) -> dict[str, Any]:
        self.messages: list[dict[str, Any]] = []
        self.llama.reset()
        return {}

    def turn(self, text: str, answer: int, think: int = 0, wait: float = 0) -> dict[str, Any]:
        time.sleep(wait)
        self.messages.append({"role": "user", "content": text})
        started = time.perf_counter()
        pieces = self.llama.create_chat_completion(
            messages=self.messages, max_tokens=think + answer, temperature=0.0, stream=True
        )
        return _measure(self.messages, started, pieces, answer, think)


class XLlama:
    """xllamacpp: llama.cpp's server code."""

    def __init__(self, path: str, context: int, *, repack: bool) -> None:
        import xllamacpp  # type: ignore[import-not-found]  # in the peer's venv

        params: Any = xllamacpp.CommonParams()
        params.model.path = path
        params.n_ctx, params.n_parallel = context, 1
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = THREADS
        params.no_extra_bufts = not repack
        params.verbosity = -1
        self.server: Any = xllamacpp.Server(params)
        self.reset()

    def reset(self) -> dict[str, Any]:
        self.messages: list[dict[str, Any]] = []
        return {}

    def turn(self, text: str, answer: int, think: int = 0, wait: float = 0) -> dict[str, Any]:
        time.sleep(wait)
        self.messages.append({"role": "user", "content": text})
        pieces: list[tuple[float, Any]] = []
        request = {
            "messages": self.messages,
            "max_tokens": think or answer,
            "temperature": 0.0,
            "stream": True,
            "chat_template_kwargs": {"enable_thinking": think > 0},
            "ignore_eos": True,
        }

        def take(piece: Any) -> None:  # noqa: ANN401 - what the server gives
            given = json.loads(piece) if isinstance(piece, (str, bytes)) else piece
            pieces.extend((time.perf_counter(), one) for one in _listed(given))

        started = time.perf_counter()
        self.server.handle_chat_completions(json.dumps(request), take)
        return _measure(self.messages, started, pieces, answer, think)


def _listed(given: Any) -> list[Any]:  # noqa: ANN401 - JSON
    return given if isinstance(given, list) else [given]


def _measure(
    messages: list[dict[str, Any]], started: float, pieces: Iterable[Any], answer: int, think: int
) -> dict[str, Any]:
    """Take a stream of OpenAI's pieces, and keep the answer as the conversation goes on."""
    text, first, last, count = "", 0.0, 0.0, 0
    for piece in pieces:
        at, piece = piece if isinstance(piece, tuple) else (time.perf_counter(), piece)  # noqa: PLW2901
        delta = piece["choices"][0].get("delta", {}) if piece.get("choices") else {}
        word = delta.get("content") or delta.get("reasoning_content") or ""
        if word:
            text, last, count = text + word, at, count + 1
            first = first or at
    # of a thinking model an answer of so many words is kept, as it would have come after it
    kept = " ".join(text.split()[:answer]) if think else text
    messages.append({"role": "assistant", "content": kept})
    seconds = last - first
    return {"first": first - started, "decode": (count - 1) / seconds if seconds else None}


def peak() -> dict[str, Any]:
    """Give the peak resident memory of this process."""
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return {"bytes": int(line.split()[1]) * 1024}


def now() -> dict[str, Any]:
    """Give the resident memory and the open files of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {"bytes": pages * 4096, "files": len(list(Path("/proc/self/fd").iterdir()))}


def main() -> None:
    """Serve commands until stdin ends."""
    kind, path, context, repack = sys.argv[1:]
    makers: dict[str, Any] = {"ours": Ours, "llama": Llama, "xllamacpp": XLlama}
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the engines print is no answer
    worker = makers[kind](path, int(context), repack=repack == "1")
    print(json.dumps({"ready": True}), file=answers, flush=True)
    for line in sys.stdin:
        command = json.loads(line)
        name = command.pop("do")
        asked = {"peak": peak, "now": now}.get(name)
        result = asked() if asked else getattr(worker, name)(**command)
        print(json.dumps(result), file=answers, flush=True)
    os._exit(0)  # some of them hang while they tidy up


if __name__ == "__main__":
    main()
