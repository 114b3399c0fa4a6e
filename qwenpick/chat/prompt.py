"""Messages to a prompt: the model file's own chat template, tokens, chunks.

Templates are foreign code, so jinja2's sandbox runs them, with what templates expect to be there
(`raise_exception`, `strftime_now`, `tojson` without escapes), as transformers renders them
(its utils/chat_template_utils.py).

What a message, a tool or a result says is data: a control token written out in it is broken by a
mark before the template is rendered, and the text is tokenised in the pieces between the marks. So
a document cannot become a system message, a thought, a call or an image, and a template cannot take
a tag of it for its own. Clean text has no marks, and gives the tokens that it always gave.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from jinja2 import TemplateError
from jinja2.exceptions import TemplateSyntaxError
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from qwenpick.chat.messages import PLACE
from qwenpick.chat.prefix_cache import common_prefix
from qwenpick.engine.chunks import Prompt, TextChunk
from qwenpick.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from qwenpick.chat.messages import Message
    from qwenpick.engine.chunks import Chunk, ImageChunk
    from qwenpick.engine.engine import Engine

    TemplateMessage = Mapping[str, Any]

AHEAD_STEP = 128
"""Answers are read in calls of so many tokens: reading ahead may be stopped at any time, and what
it has read is kept up to the last whole call."""
IMAGE = "<|image_pad|>"
"""What Qwen's template writes where an image stands."""
_MARK = "\ue000\uf8ff"
"""Two characters for private use; where a text has them, it loses them."""
CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] "
    "+ '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""For files without a template: what most models of today understand."""


class Template:
    """A chat template, compiled.

    Args:
        source: The jinja2 text.
        names: Further names that it may use, such as `bos_token`.

    Raises:
        RunError: It is no template.
    """

    def __init__(self, source: str, names: Mapping[str, str]) -> None:
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols]
        )
        environment.filters["tojson"] = _tojson
        environment.globals |= {"raise_exception": _refuse, "strftime_now": _now, **names}
        try:
            self._template = environment.from_string(source)
        except TemplateSyntaxError as error:
            raise RunError(f"The model's chat template is broken: {error}.") from None

    def render(
        self, messages: Sequence[TemplateMessage], *, generate: bool = True, **values: object
    ) -> str:
        """Write the messages out, with *generate* up to where the answer begins.

        Raises:
            RunError: The template refuses them.
        """
        try:
            return self._template.render(
                messages=messages, add_generation_prompt=generate, **values
            )
        except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError) as error:
            raise RunError(f"The model's chat template refuses this: {error}.") from None


class PromptBuilder:
    """Turns messages into prompts for one engine."""

    def __init__(self, engine: Engine, template: str | None = None) -> None:
        names = {f"{name}_token": engine.special_text(name) for name in ("bos", "eos")}
        self._engine = engine
        self._template = Template(template or engine.chat_template() or CHATML, names)
        self._opening, self._shared = self._find_opening()
        image = engine.tokens(IMAGE)
        self._image = image[0] if len(image) == 1 else None

    def prompt(
        self,
        messages: Sequence[Message],
        *,
        thinking: bool,
        tools: Sequence[Mapping[str, Any]] = (),
        images: Mapping[str, ImageChunk] = MappingProxyType({}),
    ) -> Prompt:
        """Make the prompt whose continuation is the next answer.

        Args:
            messages: The system prompt and all that is visible.
            thinking: Given to the template as `enable_thinking`.
            tools: Function descriptions, passed on to the template.
            images: By key; a word stands in place of one that is not among them.
        """
        said = [_for_template(message, images) for message in messages]
        text = self._template.render(
            self._without_tags(said),
            enable_thinking=thinking,
            tools=self._without_tags(list(tools)) or None,
        )
        left = (images[key] for one in messages for key in one.images if key in images)
        chunks: list[Chunk] = []
        starts: list[int] = []
        for part, answer in self._parts(self._tokens(text)):
            starts.append(len(chunks))
            step = min(AHEAD_STEP, self._engine.n_batch) if answer else self._engine.n_batch
            chunks += self._cut(part, step, left)
        return Prompt(
            chunks=tuple(chunks),
            n_tokens=sum(chunk.n_tokens for chunk in chunks),
            checkpoint_positions=frozenset((*starts[-1:], *starts[1:2])),
            thinking=text.rstrip().endswith("<think>"),
        )

    def _without_tags(self, value: Any) -> Any:  # noqa: ANN401 - any JSON
        """Break every tag of the vocabulary in the texts of *value*, names of fields included."""
        if isinstance(value, str):
            return self._tags.sub(_broken, value) if "<" in value or "[" in value else value
        if isinstance(value, list):
            return [self._without_tags(item) for item in value]
        if isinstance(value, dict):
            return {self._without_tags(key): self._without_tags(one) for key, one in value.items()}
        return value

    @cached_property
    def _tags(self) -> re.Pattern[str]:
        """What to break; a tag that is the end of another one is found with it."""
        longest = sorted(self._engine.tags, key=len, reverse=True)
        return re.compile("|".join(map(re.escape, longest)) or r"(?!)")

    def takes_tools(self, tools: Sequence[Mapping[str, Any]]) -> bool:
        """Tell whether the template writes tools out; some leave them away without a word."""
        question = [{"role": "user", "content": "x"}]
        with_them, without = (
            self._template.render(question, enable_thinking=False, tools=given)
            for given in (list(tools), None)
        )
        return with_them != without

    def _tokens(self, text: str) -> list[int]:
        tokens = [one for part in text.split(_MARK) if part for one in self._engine.tokens(part)]
        first = self._engine.bos_id()
        return tokens if first is None or tokens[:1] == [first] else [first, *tokens]

    def _find_opening(self) -> tuple[list[int], int]:
        """Give the tokens that open an answer, marker and role, and how many are read before it.

        These are the ones that it opens with both when it is to be written and when it is told
        again. They go with the message before them: a call less that an answer has to wait for.
        """
        question, answer = ({"role": role, "content": "x"} for role in ("user", "assistant"))
        without = self._template.render([question], generate=False, enable_thinking=False)
        text = self._template.render([question], enable_thinking=False)
        if not text.startswith(without) or text == without:
            return [], 0
        opening = self._engine.tokens(text[len(without) :])
        told = self._template.render([question, answer, question], generate=False)
        again = self._engine.tokens(told.removeprefix(without))
        return opening[:2], min(common_prefix(opening, again), len(opening) - 1)

    def _parts(self, tokens: list[int]) -> Iterator[tuple[list[int], bool]]:
        """Split at message boundaries; says which parts are answers."""
        marker = self._opening[0] if self._opening else None
        begin, answer = 0, False
        for index, token in enumerate(tokens):
            if token == marker and index:
                opens = tokens[index : index + 2] == self._opening
                cut = min(index + (self._shared if opens else 0), len(tokens) - 1)
                if cut > begin:
                    yield tokens[begin:cut], answer
                begin, answer = cut, opens
        yield tokens[begin:], answer

    def _cut(self, part: list[int], step: int, images: Iterator[ImageChunk]) -> Iterator[Chunk]:
        """Cut a message into chunks of *step* tokens, and put its images in their places."""
        begin = 0
        for index, token in enumerate([*part, None]):
            image = None
            if token is not None and token == self._image:
                image = next(images, None)
            if image or token is None:
                for at in range(begin, index, step):
                    tokens = tuple(part[at : min(at + step, index)])
                    yield TextChunk(tokens, len(tokens), len(tokens))
                begin = index + 1
            if image:
                yield image


def _for_template(message: Message, images: Mapping[str, ImageChunk]) -> TemplateMessage:
    """Give a message as chat templates take it: a word for each image that the model cannot see.

    An answer that names </think> is given an empty thought: else the template takes what stands
    before the name for one, and drops it.
    """
    shown = [{"type": "image", "image": key} for key in message.images if key in images]
    gone = [PLACE] * (len(message.images) - len(shown))
    text = "\n".join([*gone, message.content]) if gone else message.content
    document: dict[str, Any] = {"role": message.role, "content": text}
    if shown:
        document["content"] = [*shown, {"type": "text", "text": text}]
    if message.reasoning or (message.role == "assistant" and "</think>" in text):
        document["reasoning_content"] = message.reasoning
    if message.tool_calls:
        document["tool_calls"] = [
            call.to_openai() | {"function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        document["tool_call_id"] = message.tool_call_id
    return document


def _broken(tag: re.Match[str]) -> str:
    return f"{tag[0][0]}{_MARK}{tag[0][1:]}"


def _tojson(value: object, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _refuse(message: str) -> None:
    raise TemplateError(message)


def _now(form: str) -> str:
    return dt.datetime.now().astimezone().strftime(form)
