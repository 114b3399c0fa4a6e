"""From a model's file to an engine that runs it: prepare (which may refuse), then load."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from qwenpick import units
from qwenpick.app.projectors import check_room, find_projector, read_projector_shape
from qwenpick.errors import RepackError, RunError

if TYPE_CHECKING:
    from pathlib import Path

    from qwenpick.app.local_model import LocalModel
    from qwenpick.app.ui import Ui
    from qwenpick.engine.chunks import ImageChunk
    from qwenpick.engine.engine import Engine
    from qwenpick.engine.image import DecodedImage
    from qwenpick.engine.vision import Projector
    from qwenpick.pick.fit import Fit, PickInput
    from qwenpick.pick.memory import MemorySum
    from qwenpick.pick.request import Settings
    from qwenpick.pick.vision_memory import ProjectorShape
    from qwenpick.pull.gguf.model_file import ModelFile


class LoadOverrides(Struct, frozen=True, kw_only=True):
    """What the command line demands of the settings, besides the request."""

    threads: int | None = None
    force: bool = False
    """Load what the sum says will not fit."""
    save: bool = True
    """Keep what the engine says of the file."""


class Prepared(Struct, frozen=True, kw_only=True):
    """A model whose header was checked, and the settings to load it with."""

    local: LocalModel
    file: ModelFile
    settings: Settings
    memory: MemorySum
    projector: ProjectorShape | None = None
    """The projector's shape, where images are in the sum."""
    question: PickInput
    overrides: LoadOverrides


class LoadedModel:
    """A model that the engine runs: owns the engine, and the projector once an image is shown.

    Attributes:
        prepared: What was loaded; its context is the engine's own.
        engine: The engine.
        load_seconds: How long loading took.
        projector_file: The projector's file, None until an image is shown.
    """

    def __init__(self, prepared: Prepared, engine: Engine, load_seconds: float, ui: Ui) -> None:
        settings = replace(prepared.settings, context=engine.n_ctx)
        self.prepared = replace(prepared, settings=settings)
        self.engine = engine
        self.load_seconds = load_seconds
        self.projector_file: Path | None = None
        self._ui = ui
        self._projector: Projector | None = None

    @property
    def label(self) -> str:
        """Name the model in a word or two."""
        return self.prepared.local.label

    @property
    def vision_bytes(self) -> int:
        """Bytes of the buffer that encoding the first image took, as the library reported."""
        return self._projector.compute_bytes if self._projector else 0

    def predicted_bytes(self, read: int, *, largest_image: int) -> int:
        """Sum what a chat really took, in bytes, its checkpoints left out.

        Args:
            read: Tokens of the longest prompt and its answer.
            largest_image: Tokens of the largest image that was shown.
        """
        from qwenpick.pick.memory import predicted_peak, used_late
        from qwenpick.pick.vision_memory import vision_bytes

        prepared = self.prepared
        memory, settings = prepared.memory, prepared.settings
        predicted = predicted_peak(memory, settings, read=read) - memory.checkpoints
        if prepared.projector:
            late = used_late(memory, settings)
            predicted += vision_bytes(prepared.projector, largest_image, later=late) - memory.vision
        return predicted

    def image_chunk(self, image: DecodedImage) -> ImageChunk:
        """Make the part of a prompt that shows an image.

        Raises:
            RunError: There is no projector, or no memory for it.
            PullError: The projector could not be downloaded, or was refused.
        """
        if not self._projector:
            self._projector = self._open_projector()
        return self._projector.chunk(image)

    def close(self) -> None:
        """Free the projector and the engine."""
        if self._projector:
            self._projector.close()
            self._projector = None
        self.engine.close()

    def _open_projector(self) -> Projector:
        from qwenpick.engine.vision import Projector

        prepared, question = self.prepared, self.prepared.question
        file = find_projector(prepared.local, question.catalog, self._ui)
        if not prepared.projector and not prepared.overrides.force:
            check_room(file, question.budget.total - prepared.memory.total)
        settings = prepared.settings
        projector = Projector(
            self.engine, file, threads=settings.threads, on_gpu=settings.gpu_layers > 0
        )
        self.projector_file = file
        return projector


def prepare(local: LocalModel, question: PickInput, overrides: LoadOverrides) -> Prepared:
    """Check a model's header, and fit its settings to this machine; nothing is loaded.

    Raises:
        RunError: It is broken, or does not fit.
    """
    from qwenpick.pull.gguf.model_file import read_model

    file = local.file or read_model(local.path)
    projector = None
    if local.projector:
        known = local.model.projector if local.model else None
        projector = read_projector_shape(local.projector, known)
    fitted = _fit(local, file, question, projector, save=overrides.save)
    settings = fitted.settings
    if not fitted.fits and not overrides.force:
        raise RunError(
            f"{local.label} needs {units.memory(fitted.memory.total)} with a "
            f"{units.context(settings.context)} context; "
            f"{units.memory(question.budget.total)} are available.",
            hint="See what fits: qwenpick recommend; or load it anyway: --force",
        )
    if overrides.threads is not None:
        settings = replace(settings, threads=overrides.threads)
    return Prepared(
        local=local,
        file=file,
        settings=settings,
        memory=fitted.memory,
        projector=projector,
        question=question,
        overrides=overrides,
    )


def load(prepared: Prepared, ui: Ui) -> LoadedModel:
    """Load a prepared model.

    Weights that were to be repacked because that was the fastest when it was measured are used as
    stored where this engine cannot repack them.

    Raises:
        RunError: The engine cannot load it.
    """
    try:
        return _load(prepared, ui)
    except RepackError as error:
        if prepared.question.wish.repack is not None:
            raise
        ui.status(f"{error.message} Using the weights as stored in the file.")
    question = prepared.question
    as_stored = replace(question, wish=replace(question.wish, repack=False))
    return _load(prepare(prepared.local, as_stored, prepared.overrides), ui)


def longer_context(prepared: Prepared) -> int | None:
    """Give twice the context, or the model's longest, where the sum says that it fits."""
    context = min(2 * prepared.settings.context, prepared.file.architecture.context)
    if context <= prepared.settings.context:
        return None
    question = prepared.question
    asked = replace(question, wish=replace(question.wish, context=context))
    save = prepared.overrides.save
    fitted = _fit(prepared.local, prepared.file, asked, prepared.projector, save=save)
    return context if fitted.fits else None


def _load(prepared: Prepared, ui: Ui) -> LoadedModel:
    from qwenpick.engine.arguments import arguments
    from qwenpick.engine.engine import Engine
    from qwenpick.engine.interrupt import noting

    local, started = prepared.local, time.perf_counter()
    name, total = f"Loading {local.label}", prepared.file.header.file_bytes
    with noting() as check_signals:

        def watch(part: float) -> None:
            check_signals()
            ui.progress(name, min(int(part * total), total - 1), total)

        try:
            engine = Engine(local.path, arguments(prepared.settings), watch=watch)
        finally:
            ui.progress(name, total, total)
    return LoadedModel(prepared, engine, time.perf_counter() - started, ui)


def _fit(
    local: LocalModel,
    file: ModelFile,
    question: PickInput,
    projector: ProjectorShape | None,
    *,
    save: bool,
) -> Fit:
    """Fit the settings of a file whose header was read."""
    from qwenpick.app.compute_store import compute_table
    from qwenpick.pick.fit import fit
    from qwenpick.pick.memory import FileFacts
    from qwenpick.pick.profile import ModelProfile
    from qwenpick.pick.vision_memory import vision_bytes
    from qwenpick.pull.gguf.repack import repacked_bytes

    tensors = file.tensors
    profile = ModelProfile(
        architecture=file.architecture,
        file=FileFacts(
            bytes=file.header.file_bytes,
            weights=sum(tensor.bytes for tensor in tensors),
            repack=repacked_bytes(tensors, question.machine.cpu.features),
            compute=compute_table(
                local.path, file.architecture, local.model, question.machine.engine, save=save
            ),
        ),
        embedding=sum(tensor.bytes for tensor in tensors if tensor.name == "token_embd.weight"),
        output=sum(tensor.bytes for tensor in tensors if tensor.name == "output.weight") or None,
        vision=vision_bytes(projector) if projector else 0,
        size=local.size,
        quant=local.quant,
    )
    return fit(profile, question)
