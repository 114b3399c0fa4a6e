"""The engine's parts on their own: sampling, the stream's splitting, loops."""

from __future__ import annotations

import math
import subprocess
import sys
from array import array
from collections import Counter
from typing import TYPE_CHECKING

import engines
import pytest
import shapes
import vocabulary
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from turn_rows import QUESTIONS

from qwenpick.catalog.model import Sampling
from qwenpick.chat.events import Answer, Notice, Thinking
from qwenpick.chat.generation import ReasoningParser, RepetitionDetector
from qwenpick.chat.messages import Message, ToolCall
from qwenpick.chat.prefix_cache import Checkpoints, common_prefix
from qwenpick.engine import sampling
from qwenpick.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


LONG = [
    Message(role="user", content="Say something long."),
    Message(role="assistant", content="The sun " * 1200),
]


def drawing(values: Sampling, *logits: float, **named: object) -> Callable[[], int]:
    """Give what draws from logits that are made: the first tokens' own, and none of all others."""
    engine = engines.engine(engines.tiny(), 256)
    engine.read((100,), 0, logits=True)
    sampler = sampling.Sampler(engine, values, **named)  # type: ignore[arg-type]
    made = array("f", [*logits, *[-math.inf] * (engine.n_vocab - len(logits))])

    def draw() -> int:
        engine.logits()[:] = memoryview(made)
        return sampler.sample()

    return draw


def test_draws_follow_the_penalised_distribution() -> None:
    logits = [math.log(share) for share in (0.5, 0.25, 0.125, 0.125)]
    values = Sampling(temperature=1.0, top_p=1.0, top_k=3, min_p=0.0, presence_penalty=0.0)
    draw = drawing(values, *logits, seed=1)
    drawn = Counter(draw() for _ in range(4000))
    assert drawn[0] / 4000 == pytest.approx(4 / 7, abs=0.03)
    assert len(drawn) == 3  # top_k leaves out one of the two
    punished = drawing(replace(values, temperature=0.0, presence_penalty=1.5), *logits)
    assert [punished() for _ in range(3)] == [0, 1, 2]


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ({"top_p": 0.7}, {0, 1}),
        ({"min_p": 0.4}, {0, 1}),
        ({"top_k": 1}, {0}),
        ({"temperature": 0.01}, {0}),
        ({}, {0, 1, 2, 3}),
    ],
)
def test_each_value_narrows_the_choice(given: dict[str, float], left: set[int]) -> None:
    logits = [math.log(share) for share in (0.5, 0.25, 0.125, 0.125)]
    wide = Sampling(temperature=1.0, top_p=1.0, top_k=0, min_p=0.0, presence_penalty=0.0)
    draw = drawing(replace(wide, **given), *logits, seed=1)  # type: ignore[arg-type]
    assert {draw() for _ in range(200)} == left


def test_a_seed_gives_the_same_draws_and_none_others() -> None:
    values = Sampling(temperature=1.0, top_p=1.0, top_k=20, min_p=0.0, presence_penalty=0.0)

    def draws(seed: object) -> list[int]:
        draw = drawing(values, *[0.0] * 20, seed=seed)
        return [draw() for _ in range(40)]

    assert draws([1, 2, 0]) == draws([1, 2, 0])
    assert draws([1, 2, 0]) != draws([1, 2, 1])
    assert draws(None) != draws(None)


def test_a_mask_is_asked_only_after_sampling() -> None:
    class Odd:
        masked = 0

        def allows(self, token: int) -> bool:
            return token % 2 == 1

        def mask(self, logits: memoryview[float]) -> None:
            self.masked += 1
            for token in range(0, len(logits), 2):
                logits[token] = -math.inf

        def advance(self, token: int) -> None:
            assert token % 2

    mask = Odd()
    assert drawing(sampling.GREEDY, 0, 3, 1, mask=mask)() == 1
    assert mask.masked == 0
    assert drawing(sampling.GREEDY, 9, 3, 1, mask=mask)() == 1
    assert mask.masked == 1
    with pytest.raises(RunError, match="fits the schema"):
        drawing(sampling.GREEDY, 9, mask=mask)()


@given(cuts=st.lists(st.integers(1, 6), min_size=1, max_size=40))
def test_a_stream_is_split_the_same_however_it_is_cut(cuts: list[int]) -> None:
    text = "let me <b>think</think>\n\nThe answer < all.ENDmore"
    split, found, at = ReasoningParser(("END",), thinking=True), [], 0
    for cut in cuts:
        found += split.feed(text[at : at + cut])
        at += cut
    found += split.feed(text[at:], last=True)
    thought = "".join(piece.text for piece in found if isinstance(piece, Thinking))
    answer = "".join(piece.text for piece in found if isinstance(piece, Answer))
    assert (thought, answer, split.stopped) == ("let me <b>think", "The answer < all.", True)


@pytest.mark.parametrize("period", [1, 3, 40, 200])
def test_loops_are_noticed(period: int) -> None:
    loop = RepetitionDetector()
    assert not any(loop.closes(token) for token in range(1000))
    assert any(loop.closes(index % period) for index in range(5 * period + 100))


def test_text_with_repeated_words_is_no_loop() -> None:
    engine = engines.engine(engines.tiny(), 256)
    loop = RepetitionDetector()
    text = "".join(
        f"{number}. This is item {number * number} of the list.\n" for number in range(99)
    )
    assert not any(loop.closes(token) for token in engine.tokens(text))


def test_as_many_checkpoints_are_kept_as_the_sum_counts() -> None:
    engine = engines.engine(engines.tiny(), 512)
    kept = Checkpoints(engines.BUDGET)
    for count in range(engines.CHECKPOINTS + 2):
        engine.read((count + 100,), count, logits=False)
        kept.add(count, engine)
    assert [count for count, _ in kept.below(count)] == [5, 4, 3, 2]
    assert kept.bytes == engines.BUDGET


def test_a_stopped_reading_goes_on_where_it_was() -> None:
    engine = engines.engine(engines.tiny(), 8192)
    talk = engines.conversation(engine, ahead=False)
    for index, _ in enumerate(talk.send("The sun " * 1200)):
        if index == 6:
            talk.stop.set()
    *_, last = talk.send("The sun " * 1200)
    assert last.turn.cached_tokens >= 2048


def test_thinking_counts_its_tokens_though_a_piece_may_be_of_several() -> None:
    engine = engines.engine(engines.tiny())
    talk = engines.conversation(engine, max_tokens=40, thinking=True)
    events = list(talk.send("Why is the sky blue?"))
    talk.model.close()
    engine.close()
    thoughts = [event for event in events if isinstance(event, Thinking)]
    turn = talk.last
    assert turn
    assert turn.reply == ""
    assert len(thoughts) < turn.completion_tokens  # bytes that only together are a character
    assert thoughts[-1].tokens == turn.completion_tokens


def test_an_engine_may_be_closed_at_any_moment() -> None:
    for delay in (0, 0.01, 0.1):
        engine = engines.engine(engines.tiny(), 8192)
        talk = engines.conversation(engine)
        talk.messages = LONG
        talk.prefill_ahead()
        talk.model.wait_prefill(delay)
        engine.close()
        assert talk.model.wait_prefill(5)
        with pytest.raises(RunError, match="closed"):
            list(talk.send("What?"))


def test_python_may_end_while_it_reads_ahead() -> None:
    script = """if True:
        import sys
        sys.path[:0] = sys.argv[1:]
        import engines
        talk = engines.conversation(engines.engine(engines.tiny(), 8192))
        talk.messages = [
            engines.Message(role="user", content="Say something long."),
            engines.Message(role="assistant", content="The sun " * 1200),
        ]
        talk.prefill_ahead()
    """
    done = subprocess.run([sys.executable, "-c", script, *sys.path], check=False)
    assert done.returncode == 0


def test_two_conversations_may_take_turns_with_one_engine() -> None:
    texts = ("Why is the sky blue?", "And the sea?", "Thank you.")
    engine = engines.engine(engines.tiny())
    alone = engines.conversation(engine)
    wanted = [list(alone.send(text))[-1].turn.reply for text in texts]
    both = [engines.conversation(engine) for _ in range(2)]
    for text, answer in zip(texts, wanted, strict=True):
        for talk in both:
            assert list(talk.send(text))[-1].turn.reply == answer
    both[0].prefill_ahead()  # takes the engine from the other one
    assert both[0].model.wait_prefill(5)
    assert engine.owner is both[0].model.prefix_cache
    assert engine.n_past() == both[0].model.prefix_cache.position > 0
    for talk in (alone, *both):
        talk.model.close()


def test_what_a_full_window_leaves_is_read_ahead() -> None:
    talk = engines.conversation(engines.engine(engines.tiny(), 512))
    left = []
    for number in range(30):
        talk.model.wait_prefill()
        *others, last = talk.send(f"{number}?")
        if any(isinstance(event, Notice) for event in others):
            left.append(last.turn.prompt_tokens - last.turn.cached_tokens)
    talk.model.close()
    assert min(left) < 64  # all but those that only the new message makes too long


def test_a_large_vocabulary_writes_a_turn_in_as_many_tokens_as_qwens(tmp_path: Path) -> None:
    """The counts are those of models/ggml-vocab-qwen35.gguf in the sdist of llama-cpp-python."""
    shape = replace(shapes.TINY, vocab=vocabulary.PAIRS)
    engine = engines.engine(shapes.write(tmp_path / "words.gguf", shape), context=256)
    frame = "<|im_start|>user\nx<|im_end|>\n"
    assert [len(engine.tokens(text)) for text in (*QUESTIONS, frame)] == [8, 8, 9, 5, 8, 6]
    engine.close()


def test_one_chats_stop_ends_its_own_turn_alone() -> None:
    engine = engines.engine(engines.tiny())
    one, other = (engines.conversation(engine, ahead=False) for _ in range(2))
    list(one.send("Why is the sky blue?"))
    for _ in other.send("And the sea?"):
        one.stop.set()  # its own turn has ended: nothing is left to stop
    assert other.last
    assert other.last.finish == "length"
    *_, last = one.send("And the sea?")
    assert last.turn.finish == "length"
    engine.close()


def test_a_stop_before_the_turn_ends_it_and_changes_nothing() -> None:
    engine = engines.engine(engines.tiny())
    talk = engines.conversation(engine, ahead=False)
    list(talk.send("Why is the sky blue?"))
    before, stop = list(talk.messages), engines.Stop()
    stop.set()
    asked = [*before, Message(role="user", content="And the sea?")]
    *_, last = talk.model.answer(asked, talk.config, stop=stop)
    assert (last.turn.finish, last.turn.completion_tokens, last.message) == ("interrupted", 0, None)
    *_, last = talk.send("And the sea?")
    assert last.turn.finish == "length"
    engine.close()


def test_what_is_read_ahead_after_a_tool_call_is_what_a_result_begins_with() -> None:
    engine = engines.engine(engines.tiny())
    model = engines.conversation(engine).model
    call = ToolCall(id="call_0", name="now", arguments={})
    asked = [
        Message(role="user", content="What time is it? " * 20),
        Message(role="assistant", tool_calls=(call,)),
    ]
    config = engines.GenerationConfig(max_tokens=4, sampling=engines.GREEDY)
    model.prefill_ahead(asked, config, next_role="tool")
    assert model.wait_prefill(30)
    ahead = list(model.prefix_cache.content)
    result = Message(role="tool", content="12:00", tool_call_id="call_0")
    *_, last = model.answer([*asked, result], config)
    assert common_prefix(ahead, model.prefix_cache.content) == len(ahead)
    assert last.turn.cached_tokens == sum(chunk.n_tokens for chunk in ahead) > 100
    engine.close()


def test_a_long_history_is_cut_by_bisection(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = engines.engine(engines.tiny(), 1024)
    talk = engines.conversation(engine, ahead=False)
    made = 0
    builder = talk.model._builder  # noqa: SLF001 - counting what it makes is the point
    prompt = builder.prompt

    def counted(*given: object, **named: object) -> object:
        nonlocal made
        made += 1
        return prompt(*given, **named)

    monkeypatch.setattr(builder, "prompt", counted)
    for number in range(500):
        talk.messages.append(Message(role="user", content=f"What is {number} and {number}?"))
        talk.messages.append(Message(role="assistant", content=f"It is {2 * number}."))
    *_, last = talk.send("And now?")
    assert made <= 12  # 2^9 turns, and the two ends
    assert 256 < last.turn.prompt_tokens <= 512
    assert last.first_visible % 2 == 0
    engine.close()
