"""Tool calls: what a template of Qwen's form writes is read back as it was."""

import os
import random
from pathlib import Path

import pytest
from jinja2 import Environment

from qwenpick.chat.tools import ToolCallParser, check_tools, read_tools
from qwenpick.errors import UsageError

TEMPLATE = Environment(autoescape=False).from_string(  # noqa: S701 - a chat is no web page
    """\
{{- text }}
{%- for call in calls %}
{%- if not loop.first or text %}{{ '\n\n' if loop.first else '\n' }}{% endif %}
{{- '<tool_call>\n<function=' ~ call.function.name ~ '>\n' }}
{%- for key, value in call.function.arguments | items %}
{{- '<parameter=' ~ key ~ '>\n' }}
{{- value | tojson if value is mapping or (value is sequence and value is not string)
    else value | string }}
{{- '\n</parameter>\n' }}
{%- endfor %}
{{- '</function>\n</tool_call>' }}
{%- endfor %}"""
)

TOOLS = check_tools(
    [
        {
            "type": "function",
            "function": {
                "name": "write_file",
                "parameters": {
                    "type": "object",
                    "properties": {
                        "path": {"type": "string"},
                        "text": {"type": "string"},
                        "note": {"type": ["string", "null"]},
                        "mode": {"type": "integer"},
                        "ratio": {"type": "number"},
                        "force": {"type": "boolean"},
                        "tags": {"type": "array"},
                        "meta": {"type": "object"},
                        "any": {},
                    },
                },
            },
        },
        {"name": "now", "description": "The time."},
    ]
)

TEXTS = [
    "plain", "", " leading and trailing ", 'quotes " and \' and `', "two\nlines", "\n\nblank\n\n",
    '{"json": "in a string"}', "[1, 2]", "42", "True", "null", "naïve 漢字 \u202e\u05e2\u05d1",
    "\U0001f469\u200d\U0001f467 e\u0301",

    "</parameter>", "a </function> b", "<tool_call> in text", "<b>html</b> &amp; more",
    "back\\slash\t",
    "</tool_call>", "<parameter=x> here",
]  # fmt: skip
OTHERS = {
    "mode": [0, -7, 2**53, 0o755],
    "ratio": [0.1, -1e-7, 3, 1.5e300],
    "force": [True, False],
    "tags": [[], ["a", 1, None, {"b": "</x>"}], ["ü\n"]],
    "meta": [{}, {"a": {"b": [1, 'q"']}}],
    "note": [None, "text", "7", ""],
    "any": [None, 1, True, [1], {"a": 1}],
}


def conversation(seed: int) -> tuple[str, list[tuple[str, dict[str, object]]]]:
    dice = random.Random(seed)  # noqa: S311 - seeded, so that a failure comes again
    text = dice.choice(["", "Let me look.", "I'll write < it > now.\n\nThen more."])
    calls: list[tuple[str, dict[str, object]]] = []
    for _ in range(dice.choice([1, 1, 2, 3])):
        if dice.random() < 0.2:
            calls.append(("now", {}))
            continue
        arguments: dict[str, object] = {
            "path": dice.choice(TEXTS),
            "text": TEXTS[seed % len(TEXTS)],
        }
        for key in dice.sample(sorted(OTHERS), dice.randint(0, 4)):
            arguments[key] = dice.choice(OTHERS[key])
        calls.append(("write_file", arguments))
    return text, calls


def read(text: str, pieces: random.Random | None = None) -> tuple[str, list[tuple[str, object]]]:
    reader = ToolCallParser(TOOLS)
    shown = ""
    while text:
        size = pieces.randint(1, 7) if pieces else len(text)
        shown += reader.feed(text[:size])
        text = text[size:]
    shown += reader.finish()
    calls: list[tuple[str, object]] = [(call.name, call.arguments) for call in reader.calls]
    return shown, calls


@pytest.mark.parametrize("seed", range(40))
def test_a_call_that_the_template_writes_is_read_back_as_it_was(seed: int) -> None:
    text, calls = conversation(seed)
    openai = [
        {"type": "function", "function": {"name": name, "arguments": arguments}}
        for name, arguments in calls
    ]
    written = TEMPLATE.render(text=text, calls=openai)
    pieces = random.Random(seed)  # noqa: S311 - the same
    shown, found = read(written, pieces)
    assert shown.strip() == text
    assert found == calls


@pytest.mark.parametrize(
    ("text", "shown", "calls"),
    [
        ("no call, 1 < 2 <tool", "no call, 1 < 2 <tool", []),
        ("<tool_call>\n<function=now>\n</function>", "", [("now", {})]),
        ("<tool_call>\n<function=now>\n", "", [("now", {})]),
        (
            "<tool_call>\n<function=write_file>\n<parameter=path>\na\n<parameter=mode>\n1\n</function>",
            "",
            [("write_file", {"path": "a", "mode": 1})],
        ),
        ("<tool_call>\n{}\n</tool_call>", "<tool_call>\n{}\n</tool_call>", []),
        ("<tool_call>", "<tool_call>", []),
        (
            "<tool_call>broken</tool_call>\n<tool_call>\n<function=now>\n</function>\n</tool_call>",
            "<tool_call>broken</tool_call>\n",
            [("now", {})],
        ),
    ],
)
def test_broken_calls_are_mended_or_shown_as_text(
    text: str, shown: str, calls: list[tuple[str, object]]
) -> None:
    assert read(text) == (shown, calls)


def test_text_before_a_call_comes_out_while_the_call_is_still_written() -> None:
    reader = ToolCallParser(TOOLS)
    assert reader.feed("Let me look.\n\n<tool_") == "Let me look.\n\n"
    assert reader.feed("call>\n<function=now>\n") == ""
    assert reader.feed("</function>\n</tool_call>\n") == ""
    assert reader.finish() == ""
    assert [call.name for call in reader.calls] == ["now"]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("{", "truncated"),
        ("3", "array"),
        ("[" * 100_000, "deep"),
        ("[1]", r"\[0\]"),
        ('{"tools": 5}', "array"),
        ('[{"function": {}}]', "name"),
        ('[{"name": "a b"}]', "name"),
        ('[{"name": 5}]', "name"),
        ('[{"name": "a", "parameters": 5}]', "parameters"),
        ('[{"name": "a", "parameters": {"properties": 5}}]', "properties"),
        ('[{"name": "a", "parameters": {"properties": {"x": {"type": 5}}}}]', "type"),
        ('[{"name": "a", "parameters": {"properties": {"x": {"anyOf": 5}}}}]', "anyOf"),
    ],
)
def test_a_file_that_is_no_tools_is_refused(text: str, named: str, tmp_path: Path) -> None:
    path = tmp_path / "tools.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=named):
        read_tools(path)


def test_only_a_regular_file_is_read_for_tools(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", Path("/dev/zero"), Path("~nobody-of-this-name/tools.json")):
        with pytest.raises(UsageError, match="Cannot read"):
            read_tools(path)
