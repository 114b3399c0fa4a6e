"""Structured output: what leaves meets its schema, on a real model and on random weights."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

import engines
import jsonschema
import pytest
import shapes
from schemas import SCHEMAS

from qwenpick.chat.chat_model import ChatModel
from qwenpick.chat.events import Finished
from qwenpick.chat.generation_config import GenerationConfig, ModelInfo
from qwenpick.chat.messages import Message
from qwenpick.chat.schema import read_schema
from qwenpick.engine.arguments import arguments
from qwenpick.engine.engine import Engine
from qwenpick.errors import RunError, UsageError
from qwenpick.pick.request import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SAMPLE = random.Random(7).sample(range(50), 6)  # noqa: S311 - the same ones each time


@pytest.fixture(scope="module", params=["smollm2", "qwen35"])
def ask(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., str]]:
    path = engines.smollm2()
    if request.param == "qwen35":
        path = shapes.write(tmp_path_factory.mktemp("model") / "tiny.gguf", shapes.TINY)
    engine = Engine(path, arguments(Settings(context=2048, threads=2)))
    model = ChatModel(engine, ModelInfo())

    def answer(document: dict[str, object], *, tokens: int = 900, thinking: bool = False) -> str:
        schema = read_schema(json.dumps(document))
        config = GenerationConfig(
            thinking=thinking,
            max_tokens=tokens,
            think_budget=5,
            sampling={"temperature": 1.0},
            seed=1,
            schema=schema,
        )
        *_, last = model.answer([Message(role="user", content="Invent one, as JSON.")], config)
        assert isinstance(last, Finished)
        schema.check(last.turn.reply)
        return last.turn.reply

    yield answer
    engine.close()


@pytest.mark.parametrize("number", SAMPLE)
def test_an_answer_meets_its_schema(ask: Callable[..., str], number: int) -> None:
    jsonschema.validate(json.loads(ask(SCHEMAS[number])), SCHEMAS[number])


@pytest.mark.proof
@pytest.mark.parametrize("number", range(50))
def test_each_of_fifty_answers_meets_its_schema(ask: Callable[..., str], number: int) -> None:
    jsonschema.validate(json.loads(ask(SCHEMAS[number])), SCHEMAS[number])


def test_a_cut_answer_does_not_leave(ask: Callable[..., str]) -> None:
    with pytest.raises(RunError, match="does not meet the schema"):
        ask({"type": "string", "minLength": 400}, tokens=3)


@pytest.mark.parametrize(
    ("schema", "named"),
    [
        ('{"type": "array", "uniqueItems": true}', "uniqueItems"),
        ('{"properties": {"a": {"not": {"type": "string"}}}}', "not"),
        ('{"if": {}, "then": {}}', "if, then"),
        ('{"type": "array", "contains": {}}', "contains"),
        ('{"type": "string", "format": "hostel"}', "hostel"),
        ('{"type": "string", "pattern": "^(?=a)b"}', "look-around"),
        ('{"type": "strin"}', "not a JSON schema"),
        ('{"$ref": "https://example.org/schema"}', "example.org"),
        ('{"$ref": "#/$defs/missing"}', "missing"),
        ('{"type": ', "truncated"),
        ('{"a":' * 100_000, "deep"),
        ('{"properties": {"a": ' * 100 + "{}" + "}}" * 100, "deep"),
        ('{"$schema": 5}', "$schema"),
        ("missing.json", "missing.json"),
        ("/", "directory"),
        ("/dev/zero", "not a regular file"),
        ("~nobody-of-this-name/schema.json", "nobody"),
    ],
)
def test_what_can_not_be_held_is_refused_by_name(schema: str, named: str) -> None:
    with pytest.raises(UsageError) as error:
        read_schema(schema)
    assert named in error.value.message
    assert "\n" not in error.value.message


def test_a_schema_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "schema.json"
    path.write_text('{"type": "integer", "maximum": 3}', encoding="utf-8")
    schema = read_schema(str(path))
    schema.check("2")
    for wrong in ("4", '"2"', "2 3", "", "NaN"):
        with pytest.raises(RunError):
            schema.check(wrong)


def test_an_excluded_whole_bound_stays_out() -> None:
    schema = read_schema('{"type": "number", "exclusiveMinimum": 0, "maximum": 0.5}')
    assert '"minimum": 1e-06' in schema.grammar


def test_numbers_are_checked_as_they_are_written() -> None:
    read_schema('{"type": "number", "multipleOf": 0.1}').check("0.3")
