"""Reuse never changes an answer: random conversations, with it and without."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import engines
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test
from msgspec.structs import replace

from qwenpick.app import state
from qwenpick.chat.events import Answer, Finished, Reading, Thinking, Turn
from qwenpick.chat.messages import Message

if TYPE_CHECKING:
    from collections.abc import Iterator

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
        self.mine.messages = [Message(role="system", content="You are a helpful assistant.")]
        self.folder = tempfile.TemporaryDirectory()

    def teardown(self) -> None:
        self.mine.model.close()
        assert self.mine.model.prefix_cache.checkpoints.bytes <= engines.BUDGET
        self.folder.cleanup()

    def _ask(self, messages: list[Message]) -> None:
        """Have messages answered, and compare with a model that reads them from the beginning."""
        visible = self.mine.first_visible
        turn = _last(self.mine.turn(messages))
        plain = engines.conversation(self.other, reuse=False, ahead=False)
        plain.config, plain.first_visible = self.mine.config, visible
        again = _last(plain.turn(messages))
        assert (again.reply, again.thinking) == (turn.reply, turn.thinking)
        assert again.prompt_tokens == turn.prompt_tokens

    def _last_question(self) -> int:
        return max(at for at, one in enumerate(self.mine.messages) if one.role == "user")

    @rule(text=TEXTS, wait=st.booleans())
    def say(self, text: str, *, wait: bool) -> None:
        if wait:
            self.mine.model.wait_prefill()
        self._ask([*self.mine.messages, Message(role="user", content=text)])

    @precondition(lambda self: self.mine.messages[1:])
    @rule(text=TEXTS)
    def edit(self, text: str) -> None:
        before = self.mine.messages[: self._last_question()]
        self._ask([*before, Message(role="user", content=text)])

    @precondition(lambda self: self.mine.messages[1:])
    @rule()
    def retry(self) -> None:
        self._ask(self.mine.messages[: self._last_question() + 1])

    @precondition(lambda self: self.mine.messages[1:])
    @rule()
    def undo(self) -> None:
        self.mine.model.stop_prefill()
        self.mine.messages = self.mine.messages[: self._last_question()]
        self.mine.first_visible = min(self.mine.first_visible, len(self.mine.messages) - 1)

    @rule()
    def toggle_thinking(self) -> None:
        config = self.mine.config
        self.mine.config = replace(config, thinking=not config.thinking)

    @rule(text=TEXTS, after=st.integers(0, 6))
    def interrupt(self, text: str, after: int) -> None:
        for index, event in enumerate(self.mine.send(text)):
            if index == after and isinstance(event, (Reading, Answer, Thinking)):
                self.mine.stop.set()

    @precondition(lambda self: self.mine.messages[1:])
    @rule(wait=st.booleans())
    def restart(self, *, wait: bool) -> None:
        if wait:
            self.mine.model.wait_prefill()
        before = self.mine
        before.model.close()
        path = Path(self.folder.name) / "state"
        saved = state.save(before.model.prefix_cache, path, OWNER)
        self.mine = engines.conversation(self.engine)
        self.mine.messages, self.mine.config = before.messages, before.config
        self.mine.first_visible = before.first_visible
        if saved:
            assert state.load(self.mine.model.prefix_cache, path, OWNER) is None


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
