"""One engine in a process of its own, driven line by line: ours, llama_cpp.Llama, xllamacpp.

    python turn_workers.py ours|llama|xllamacpp MODEL CONTEXT REPACK THREADS

Each line on stdin is a JSON command, each answer a JSON line on stdout. It must start in a venv
that knows nothing of qwenpick, so ours is in a file of its own (turn_ours.py).
"""


# ruff: noqa: D102 - the commands are one line each, and named in turn_rows.py

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any


class Worker:
    """An engine in a process of its own."""

    def __init__(self, python: str, *arguments: str) -> None:
        self._kind = arguments[0]
        self._process = subprocess.Popen(
            [python, __file__, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._read()

    def do(self, command: str, **values: object) -> Any:  # noqa: ANN401 - JSON
        """Run a command there."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps({"do": command} | values) + "\n")
        self._process.stdin.flush()
        return self._read()

    def close(self) -> None:
        """End it."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def _read(self) -> Any:  # noqa: ANN401 - JSON
        assert self._process.stdout
        if line := self._process.stdout.readline():
            return json.loads(line)
        raise SystemExit(f"the worker {self._kind} ended with code {self._process.wait()}")


class Llama:
    """llama_cpp.Llama, as its documentation has it."""

    def __init__(self, path: str, context: int, *, repack: bool, threads: int) -> None:
        from llama_cpp import Llama as Class

        assert repack, "llama_cpp.Llama always repacks"
        self.llama: Any = Class(
            path, n_ctx=context, n_threads=threads, n_threads_batch=threads, verbose=False
        )
        self._sample = self.llama.sample
        self.llama.sample = self._timed  # type: ignore[method-assign]  # looked on from outside
        self._times: list[float] = []
        self.reset()

    def reset(self) -> dict[str, Any]:
        self.messages: list[dict[str, Any]] = []
        self.llama.reset()
        return {}

    def turn(self, text: str, kept: str, *, answer: int, think: int, wait: float) -> dict[str, Any]:
        time.sleep(wait)
        self.messages.append({"role": "user", "content": text})
        started = time.perf_counter()
        self._times.clear()
        for _ in self.llama.create_chat_completion(
            messages=self.messages, max_tokens=think + answer, temperature=0.0, stream=True
        ):
            pass
        self.messages.append({"role": "assistant", "content": kept})
        return _measure(started, self._times, think + answer)

    def _timed(self, *values: Any, **named: Any) -> int:  # noqa: ANN401 - passed on
        """Note when a token was drawn: random weights write half characters, and text waits."""
        token = int(self._sample(*values, **named))
        self._times.append(time.perf_counter())
        return token


class XLlama:
    """xllamacpp: llama.cpp's server code, with the server's own defaults."""

    def __init__(self, path: str, context: int, *, repack: bool, threads: int) -> None:
        import xllamacpp  # type: ignore[import-not-found]  # in the peer's venv

        params: Any = xllamacpp.CommonParams()
        params.model.path = path
        params.n_ctx, params.n_parallel = context, 1
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
        params.no_extra_bufts = not repack
        params.verbosity = -1
        self.server: Any = xllamacpp.Server(params)
        self.reset()

    def reset(self) -> dict[str, Any]:
        self.messages: list[dict[str, Any]] = []
        return {}

    def turn(self, text: str, kept: str, *, answer: int, think: int, wait: float) -> dict[str, Any]:
        time.sleep(wait)
        self.messages.append({"role": "user", "content": text})
        request = {
            "messages": self.messages,
            "max_tokens": think + answer,
            "temperature": 0.0,
            "stream": True,
            "chat_template_kwargs": {"enable_thinking": think > 0},
            "ignore_eos": True,
        }
        times: list[float] = []
        started = time.perf_counter()
        # the first piece comes with the first token, and names the role
        self.server.handle_chat_completions(
            json.dumps(request), lambda _piece: times.append(time.perf_counter())
        )
        self.messages.append({"role": "assistant", "content": kept})
        return _measure(started, times, think + answer)


def _measure(started: float, times: list[float], count: int) -> dict[str, Any]:
    """Sum up an answer of *count* tokens from when its first and its last one came."""
    return {"first": times[0] - started, "decode": (count - 1) / (times[-1] - times[0])}


def peak() -> dict[str, Any]:
    """Give the peak resident memory of this process."""
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return {"bytes": int(line.split()[1]) * 1024}


def now() -> dict[str, Any]:
    """Give the resident memory and the open files of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {"bytes": pages * 4096, "files": len(list(Path("/proc/self/fd").iterdir()))}


def _maker(kind: str) -> Any:  # noqa: ANN401 - one of three classes
    if kind == "ours":
        from turn_ours import Ours

        return Ours
    return {"llama": Llama, "xllamacpp": XLlama}[kind]


def main() -> None:
    """Serve commands until stdin ends."""
    kind, path, context, repack, threads = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the engines print is no answer
    worker = _maker(kind)(path, int(context), repack=repack == "1", threads=int(threads))
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
