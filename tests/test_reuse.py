"""Reuse never changes an answer: random conversations, with it and without."""

from __future__ import annotations

import copy
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import engines
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from qwenpick.app import state
from qwenpick.chat.events import Answer, Finished, Reading, Thinking, Turn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qwenpick.chat.conversation import Conversation
    from qwenpick.chat.events import Event
    from qwenpick.engine.engine import Engine

OWNER = state.Owner(model="m", engine_version="1", kv_type="f16")
TEXTS = st.sampled_from(
    [
        "Hi.",
        "Why is the sky blue?",
        "Say it again, in other words. " * 8,
        "The sun " * 90,
        "Äöü 天空",
    ]
)


@cache
def _pair(path: Path, context: int) -> tuple[Engine, Engine]:
    return engines.engine(path, context), engines.engine(path, context)


def _last(events: Iterator[Event]) -> Turn:
    *_, last = events
    assert isinstance(last, Finished)
    return last.turn


class Talk(RuleBasedStateMachine):
    """A conversation that reuses, against one that reads everything again."""

    path: ClassVar[Path]
    context: ClassVar[int] = 1536

    def __init__(self) -> None:
        super().__init__()
        self.engine, self.other = _pair(self.path, self.context)
        self.mine = engines.conversation(self.engine)
        self.mine.system = "You are a helpful assistant."
        self.folder = tempfile.TemporaryDirectory()

    def teardown(self) -> None:
        self.mine.close()
        assert self.mine.reader.checkpoints.bytes <= engines.BUDGET
        self.folder.cleanup()

    def _compare(self, turn: Turn, before: Conversation) -> None:
        plain = engines.conversation(self.other, reuse=False, read_ahead=False)
        plain.system = before.system
        plain.manner.thinking = before.manner.thinking
        plain.messages, plain.window = before.messages[:-1], before.window
        again = _last(plain.say(before.messages[-1]["content"]))
        assert (again.reply, again.thinking) == (turn.reply, turn.thinking)
        assert again.prompt_tokens == turn.prompt_tokens

    def _before(self) -> Conversation:
        last = self.mine.messages[-1]["role"] == "assistant"
        frozen = copy.copy(self.mine)
        frozen.messages = copy.deepcopy(self.mine.messages[: -1 if last else None])
        frozen.manner = copy.copy(self.mine.manner)
        return frozen

    @rule(text=TEXTS, wait=st.booleans())
    def say(self, text: str, *, wait: bool) -> None:
        if wait:
            self.mine.ahead.wait()
        self._compare(_last(self.mine.say(text)), self._before())

    @precondition(lambda self: self.mine.messages)
    @rule(text=TEXTS)
    def edit(self, text: str) -> None:
        self._compare(_last(self.mine.edit(text)), self._before())

    @precondition(lambda self: self.mine.messages)
    @rule()
    def retry(self) -> None:
        self._compare(_last(self.mine.retry()), self._before())

    @precondition(lambda self: self.mine.messages)
    @rule()
    def undo(self) -> None:
        self.mine.undo()

    @rule()
    def toggle_thinking(self) -> None:
        self.mine.ahead.stop()
        self.mine.manner.thinking = not self.mine.manner.thinking

    @rule(text=TEXTS, after=st.integers(0, 6))
    def interrupt(self, text: str, after: int) -> None:
        for index, event in enumerate(self.mine.say(text)):
            if index == after and isinstance(event, (Reading, Answer, Thinking)):
                self.mine.stop()

    @precondition(lambda self: self.mine.messages)
    @rule(wait=st.booleans())
    def restart(self, *, wait: bool) -> None:
        if wait:
            self.mine.ahead.wait()
        before = self.mine
        before.close()
        path = Path(self.folder.name) / "state"
        saved = state.save(before.reader, path, OWNER)
        self.mine = engines.conversation(self.engine)
        self.mine.system, self.mine.window = before.system, before.window
        self.mine.messages = before.messages
        self.mine.manner.thinking = before.manner.thinking
        if saved:
            assert state.load(self.mine.reader, path, OWNER) is None


def _prove(path: Path, examples: int, context: int = 1536) -> None:
    machine = type("Talk", (Talk,), {"path": path, "context": context})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=10,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_answers_do_not_depend_on_reuse() -> None:
    _prove(engines.tiny(), 20)


@pytest.mark.proof
def test_answers_do_not_depend_on_reuse_in_200_conversations() -> None:
    _prove(engines.tiny(), 200)


@pytest.mark.proof
def test_answers_of_a_real_model_do_not_depend_on_reuse() -> None:
    _prove(engines.smollm2(), 200)
