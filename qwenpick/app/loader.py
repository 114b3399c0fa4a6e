"""From a model's file to an engine that runs it: fit its settings, load it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from msgspec import Struct, to_builtins
from msgspec.structs import replace

from qwenpick import units
from qwenpick.app.models import locate_projector
from qwenpick.app.projectors import read_projector_shape
from qwenpick.cli.output import status
from qwenpick.cli.progress import Loading
from qwenpick.errors import RepackError, RunError
from qwenpick.pull.reference import Size

if TYPE_CHECKING:
    from pathlib import Path

    from qwenpick.catalog.model import Catalog, Model
    from qwenpick.engine.engine import Engine
    from qwenpick.hardware.machine import Machine
    from qwenpick.pick.fit import Fit, PickInput
    from qwenpick.pick.memory import MemorySum
    from qwenpick.pick.request import Request, Settings
    from qwenpick.pick.vision_memory import ProjectorShape
    from qwenpick.pull.gguf.model_file import ModelFile

_BACKENDS = {"nvidia": {"cuda", "vulkan"}, "amd": {"hip", "vulkan"}, "apple": {"metal"},
             "intel": {"sycl", "vulkan"}}  # fmt: skip


class Prepared(Struct, frozen=True, kw_only=True):
    """A model file that the engine may be given, and the settings for it."""

    path: Path
    file: ModelFile
    model: Model | None
    settings: Settings
    memory: MemorySum
    eyes: ProjectorShape | None = None
    """The projector, where pictures are in the sum."""

    @property
    def quant(self) -> str:
        """Its quantisation, by its header."""
        return self.file.quant

    @property
    def reference(self) -> Size | None:
        """What it is of the catalogue, None where it is none of its files."""
        return _reference(self.model, self.quant)

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
        document: dict[str, Any] = to_builtins(self.settings)
        return document


class LoadedModel(Prepared, frozen=True, kw_only=True):
    """A model that is loaded."""

    engine: Engine
    load_seconds: float


class LoadOverrides(Struct, frozen=True, kw_only=True):
    """What the command line demands of the settings, besides the wish."""

    threads: int | None = None
    force: bool = False
    """Load what the sum says won't fit."""


def drivable(machine: Machine) -> Machine:
    """Leave out the GPUs that the installed engine can't drive."""
    backends = set(machine.engine.backends)
    gpus = tuple(gpu for gpu in machine.gpus if backends & _BACKENDS.get(gpu.vendor, set()))
    return replace(machine, gpus=gpus)


def question_for(wish: Request, catalog: Catalog) -> PickInput:
    """Ask about this machine, as the installed engine can use it."""
    from qwenpick.hardware import measurements
    from qwenpick.hardware.probe import probe
    from qwenpick.pick.budget import budget_of
    from qwenpick.pick.fit import PickInput

    machine = drivable(probe())
    return PickInput(
        catalog=catalog,
        machine=machine,
        wish=wish,
        budget=budget_of(machine),
        measured=measurements.load(),
    )


def check(path: Path, size: str | None, question: PickInput, demands: LoadOverrides) -> Prepared:
    """Check a file, and fit its settings.

    Raises:
        RunError: It is broken, or does not fit this machine.
    """
    from qwenpick.pull.gguf.model_file import read_model

    file = read_model(path)
    model = _recognise(file, size, question.catalog)
    eyes = None
    if question.wish.vision:
        projector = locate_projector(path, _reference(model, file.quant), question)
        eyes = read_projector_shape(projector, model.projector if model else None)
    settled = _settle(path, file, model, question, eyes)
    settings = settled.settings
    if not settled.fits and not demands.force:
        raise RunError(
            f"{path.name} takes {units.memory(settled.memory.total)} with a context of "
            f"{units.context(settings.context)}, and {units.memory(question.budget.total)} "
            "are there.",
            hint="See what fits: qwenpick recommend; or load it all the same: --force",
        )
    if demands.threads is not None:
        settings = replace(settings, threads=demands.threads)
    return Prepared(
        path=path, file=file, model=model, settings=settings, memory=settled.memory, eyes=eyes
    )


def open_model(
    path: Path, size: str | None, question: PickInput, demands: LoadOverrides
) -> LoadedModel:
    """Check a file, fit its settings, and load it.

    Weights that were to be repacked because it was the fastest when it was measured stay as they
    are where this engine can't do it.

    Raises:
        RunError: It is broken, does not fit this machine, or the engine can't load it.
    """
    checked = check(path, size, question, demands)
    try:
        return _load(checked)
    except RepackError as error:
        if question.wish.repack is not None:
            raise
        status(f"{error.message} They stay as they are in the file.")
    as_they_are = replace(question, wish=replace(question.wish, repack=False))
    return _load(check(path, size, as_they_are, demands))


def _load(checked: Prepared) -> LoadedModel:
    from qwenpick.engine.arguments import arguments
    from qwenpick.engine.engine import Engine
    from qwenpick.engine.interrupt import noting

    started = time.perf_counter()
    line = Loading(checked.label)
    try:
        with noting() as check_signals:

            def watch(part: float) -> None:
                check_signals()
                line.moved(part)

            engine = Engine(checked.path, arguments(checked.settings), watch=watch)
    finally:
        line.end()
    return LoadedModel(
        path=checked.path,
        file=checked.file,
        model=checked.model,
        settings=replace(checked.settings, context=engine.n_ctx),
        memory=checked.memory,
        eyes=checked.eyes,
        engine=engine,
        load_seconds=time.perf_counter() - started,
    )


def _reference(model: Model | None, quant: str) -> Size | None:
    """Name a file in the catalogue's words, None where it is none of its files."""
    return Size(size=model.size, quant=quant) if model and model.file(quant) else None


def longer_context(opened: LoadedModel, question: PickInput) -> int | None:
    """Give twice the context, or all that the model has, where the sum says that it fits."""
    context = min(2 * opened.settings.context, opened.file.architecture.context)
    if context <= opened.settings.context:
        return None
    asked = replace(question, wish=replace(question.wish, context=context))
    settled = _settle(opened.path, opened.file, opened.model, asked, opened.eyes)
    return context if settled.fits else None


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


def _settle(
    path: Path,
    file: ModelFile,
    model: Model | None,
    question: PickInput,
    eyes: ProjectorShape | None,
) -> Fit:
    from qwenpick.app.compute_store import compute_table
    from qwenpick.pick.fit import fit
    from qwenpick.pick.memory import FileFacts
    from qwenpick.pick.profile import ModelProfile
    from qwenpick.pick.vision_memory import vision_bytes
    from qwenpick.pull.gguf.repack import repacked_bytes

    tensors = file.tensors
    weights = sum(tensor.bytes for tensor in tensors)
    shape = file.architecture
    subject = ModelProfile(
        architecture=shape,
        file=FileFacts(
            bytes=file.header.file_bytes,
            weights=weights,
            repack=repacked_bytes(tensors, question.machine.cpu.features),
            compute=compute_table(path, shape, model, question.machine.engine),
        ),
        embedding=sum(tensor.bytes for tensor in tensors if tensor.name == "token_embd.weight"),
        output=sum(tensor.bytes for tensor in tensors if tensor.name == "output.weight") or None,
        vision=vision_bytes(eyes) if eyes else 0,
        size=model.size if model else None,
        quant=file.quant,
    )
    return fit(subject, question, last_resort=True)
