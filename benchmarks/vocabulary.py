"""A vocabulary for test models: byte-level BPE of Qwen's kind, of any size, and a chat template.

The first merges are learned from the text below, so that English takes a sensible number of
tokens; where there is room each of its words, and other common ones, is one token, as in Qwen3.5.
The rest, up to 248,320 entries, are made up, long enough that the header is as large as a real
one. Every text in UTF-8 can be written with it, and nothing in it comes from Qwen's own files.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

LEARNED = 300
PAIRS = 8192
"""So many tokens are letters, learned ones, and pairs of these; all others join three.
With 248,320 entries the header then has nearly the 10.96 MB of the real one."""

SPECIAL = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>",
    "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>", "<tool_call>", "</tool_call>",
    "<tool_response>", "</tool_response>", "<think>", "</think>",
)  # fmt: skip
_CONTROL = 8
"""So many of them are control tokens; the rest are read as text, as in Qwen's tokenizer."""

NORMAL, CONTROL, USER_DEFINED, UNUSED = 1, 3, 4, 5  # llama_token_type

TEXT = """
The sky is blue because the air scatters the short waves of the light from the sun more than the
long ones. When the sun is low, its light has gone a long way through the air, and what is left of
it is red. You can see the same thing when you look at a glass of water with a little milk in it.
A model reads the words that you write to it, one piece after the other, and then it says what the
next word should be. It does so again and again until the answer is there. How fast it can do that
depends on the memory of the machine: for every word, all of the numbers of the model have to be
read once. What is the capital of France? Paris is the capital of France. Please write a short
answer, and think about it first. I am a helpful assistant. Thank you, that is all that I wanted to
know about this question. There are not many of them, but some people would say otherwise; in the
end you have to find out for yourself which one is right, and why they thought that it was so.
def main(): return [line for line in open(path) if line and not line.startswith("#")]
"""

COMMON = """
user assistant system What Why How And But Please Thank Is Are It Yes No second point follows
anything else other say said tell give good new first last time way day year man world life hand
part place case week work fact group number people about make know take come good some could them
than then look only
"""
"""Further words that are one token in a large vocabulary, as they are in Qwen3.5's."""

TEMPLATE = """\
{%- macro show(content) %}
    {%- if content is string %}{{ content }}
    {%- else %}
        {%- for part in content or [] %}
            {%- if part.type == 'image' or part.type == 'image_url' or 'image' in part %}
                {{- '<|vision_start|><|image_pad|><|vision_end|>' }}
            {%- elif 'text' in part %}{{- part.text }}{%- endif %}
        {%- endfor %}
    {%- endif %}
{%- endmacro %}
{%- set start = namespace(at=0, query=-1) %}
{%- set opening = '' %}
{%- if messages and messages[0].role == 'system' %}
    {%- set start.at = 1 %}
    {%- set opening = show(messages[0].content)|trim %}
{%- endif %}
{%- if tools %}
    {{- '<|im_start|>system\\n# Tools\\n\\nThese functions can be called:\\n\\n<tools>' }}
    {%- for tool in tools %}{{- '\\n' + tool|tojson }}{%- endfor %}
    {{- '\\n</tools>\\n\\nA call looks like this:\\n\\n<tool_call>\\n<function=NAME>\\n' }}
    {{- '<parameter=KEY>\\nVALUE\\n</parameter>\\n</function>\\n</tool_call>' }}
    {{- ('\\n\\n' + opening if opening else '') + '<|im_end|>\\n' }}
{%- elif start.at %}
    {{- '<|im_start|>system\\n' + opening + '<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if message.role == 'user' %}{%- set start.query = loop.index0 %}{%- endif %}
{%- endfor %}
{%- if start.query < 0 %}{{- raise_exception('No user query found in messages.') }}{%- endif %}
{%- for message in messages[start.at:] %}
    {%- set content = show(message.content)|trim %}
    {%- if message.role == 'user' %}
        {{- '<|im_start|>user\\n' + content + '<|im_end|>\\n' }}
    {%- elif message.role == 'assistant' %}
        {%- set thought = message.reasoning_content or '' %}
        {%- if not thought and '</think>' in content %}
            {%- set thought = content.split('</think>')[0].split('<think>')[-1] %}
            {%- set content = content.split('</think>')[-1]|trim %}
        {%- endif %}
        {{- '<|im_start|>assistant\\n' }}
        {%- if loop.index0 + start.at > start.query %}
            {{- '<think>\\n' + thought|trim + '\\n</think>\\n\\n' }}
        {%- endif %}
        {{- content }}
        {%- for call in message.tool_calls or [] %}
            {%- set call = call.function or call %}
            {{- ('\\n\\n' if content and loop.first else '\\n' if not loop.first else '') }}
            {{- '<tool_call>\\n<function=' + call.name + '>\\n' }}
            {%- for key, value in (call.arguments or {}).items() %}
                {{- '<parameter=' + key + '>\\n' }}
                {{- value if value is string else value|tojson }}{{- '\\n</parameter>\\n' }}
            {%- endfor %}
            {{- '</function>\\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == 'tool' %}
        {{- '<|im_start|>user' if loop.first or loop.previtem.role != 'tool' else '' }}
        {{- '\\n<tool_response>\\n' + content + '\\n</tool_response>' }}
        {{- '<|im_end|>\\n' if loop.last or loop.nextitem.role != 'tool' else '' }}
    {%- else %}
        {{- raise_exception('Unexpected message role.') }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n<think>\\n' }}
    {{- '\\n</think>\\n\\n' if enable_thinking is defined and not enable_thinking else '' }}
{%- endif %}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """Tokens with their types, the merges, and the numbers of the two that matter."""

    tokens: tuple[str, ...]
    types: tuple[int, ...]
    merges: tuple[str, ...]
    end_of_turn: int
    end_of_text: int


@cache
def make(size: int) -> Vocabulary:
    """Make a vocabulary of *size* entries; the same each time."""
    merges = list(_learned(whole=size >= PAIRS))
    alphabet = sorted(byte_letters().values())
    tokens = dict.fromkeys(alphabet + [left + right for left, right in merges])
    wanted = size - len(SPECIAL)
    if wanted < len(tokens):
        raise ValueError(f"a vocabulary has {len(tokens) + len(SPECIAL)} entries or more")
    _make_up(tokens, merges, wanted)
    listed = (*list(tokens)[:wanted], *SPECIAL)
    types = [NORMAL] * wanted + [
        CONTROL if index < _CONTROL else USER_DEFINED for index in range(len(SPECIAL))
    ]
    return Vocabulary(
        tokens=listed,
        types=tuple(types),
        merges=tuple(f"{left} {right}" for left, right in merges),
        end_of_turn=listed.index("<|im_end|>"),
        end_of_text=listed.index("<|endoftext|>"),
    )


def byte_letters() -> dict[int, str]:
    """Give each byte the letter that byte-level BPE writes it with, as GPT-2 began it."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(0x100) if byte not in plain]
    letters = {byte: chr(byte) for byte in plain}
    return letters | {byte: chr(0x100 + index) for index, byte in enumerate(hidden)}


@cache
def _learned(*, whole: bool) -> tuple[tuple[str, str], ...]:
    """Learn merges from the text: the commonest pair first, as BPE does.

    With *whole* go on until each word is one token, with a space before it and without, and
    so is an empty line.
    """
    text = TEXT.split()
    words = _spelled(" " + word for word in text)
    merges = _learn(words, LEARNED)
    if whole:
        plain = [*text, *COMMON.split()]
        words = _spelled([*plain, *(" " + word for word in plain), "\n\n"])
        for pair in merges:
            words = _merged_all(words, pair)
        merges += _learn(words, None)
    return tuple(merges)


def _spelled(words: Iterable[str]) -> Counter[tuple[str, ...]]:
    letters = byte_letters()
    return Counter(tuple(letters[byte] for byte in word.encode()) for word in words)


def _learn(words: Counter[tuple[str, ...]], count: int | None) -> list[tuple[str, str]]:
    """Learn *count* merges, or as many as make each word whole."""
    merges: list[tuple[str, str]] = []
    while count is None or len(merges) < count:
        pairs: Counter[tuple[str, str]] = Counter()
        for word, times in words.items():
            for pair in pairwise(word):
                pairs[pair] += times
        if not pairs:
            break
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        words = _merged_all(words, best)
    return merges


def _merged_all(words: Counter[tuple[str, ...]], pair: tuple[str, str]) -> Counter[tuple[str, ...]]:
    return Counter({_merged(word, pair): times for word, times in words.items()})


def _merged(word: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    joined, at = [], 0
    while at < len(word):
        step = 2 if word[at : at + 2] == pair else 1
        joined.append("".join(word[at : at + step]))
        at += step
    return tuple(joined)


def _make_up(tokens: dict[str, None], merges: list[tuple[str, str]], wanted: int) -> None:
    """Add tokens, each from two that are there, until there are as many as *wanted*."""
    source = random.Random(0)  # noqa: S311 - words for a test model are no secret
    # the short ones: with whole words the header would be larger than a real one
    lefts = rights = list(tokens)[: len(byte_letters()) + LEARNED]
    while len(tokens) < wanted:
        left, right = source.choice(lefts), source.choice(rights)
        if left + right in tokens:
            continue
        tokens[left + right] = None
        merges.append((left, right))
        if len(tokens) == PAIRS:
            lefts = list(tokens)[len(lefts) :]
