"""Loads the table of models: the packaged one, or the one that QWENPICK_CATALOG names.

Everything is checked here, so that the rooms behind can take it as it is. Annotations are not
postponed: msgspec would evaluate each one at the first reading, which takes 5 ms of every start.
"""

import os
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import replace

from qwenpick import files
from qwenpick.catalog.bounds import BOUNDS
from qwenpick.catalog.model import (
    Architecture,
    Bytes,
    Calibration,
    Catalog,
    ComputeTable,
    Model,
    PickRules,
    Positive,
    Projector,
    ReadRates,
    ReferenceRate,
    Sampling,
    Sha256,
    Some,
    UnknownBandwidth,
    UseProfile,
    WeightsFile,
)
from qwenpick.catalog.refreshed import overlaid
from qwenpick.errors import CatalogError, UsageError

PACKAGED = Path(__file__).with_name("table.json")

_USES = {"chat", "agent", "server", "mobile", "iot", "max-performance"}
_DEVICES = {
    "card": {"nvidia", "pascal", "amd", "intel", "apple"},
    "thread": {"avx512_vnni", "avx2", "dotprod", "other"},
}
Repo = Annotated[str, Meta(pattern=r"\A\w[\w.-]*/\w[\w.-]*\Z")]
Rate = Positive | Annotated[list[Positive], Meta(min_length=2, max_length=2)]
"""Tokens per second, or the lowest and the highest that were seen. A list: msgspec 0.22 crashes
on a union of a bounded number and a tuple of fixed length."""
_Row = tuple[str, str, str, Rate]
"""Machine, size, quantisation, rate."""


class _Weights(Struct, frozen=True):
    bytes: Bytes
    exact: bool = True
    sha256: Sha256 | None = None


class _Mmproj(Struct, frozen=True):
    file: str
    bytes: Bytes
    sha256: Sha256 | None = None
    hidden: Some | None = None
    ffn: Some | None = None
    layers: Some | None = None
    encoding_bytes_per_token: Bytes | None = None

    def __post_init__(self) -> None:
        _check_name(self.file)

    def projector(self) -> Projector:
        seen = self.hidden and self.ffn and self.layers
        return Projector(
            name=self.file,
            bytes=self.bytes,
            shape=(self.hidden, self.ffn, self.layers) if seen else None,  # type: ignore[arg-type]  # none is None
            encoding=self.encoding_bytes_per_token,
            sha256=self.sha256 and self.sha256.casefold(),
        )


class _Size(Struct, frozen=True):
    arch: Architecture
    repo: Repo
    revision: str
    file_pattern: str
    files: Annotated[dict[str, _Weights], Meta(min_length=1)]
    sampling: dict[str, Sampling]
    thinking_default: bool
    compute: ComputeTable | None = None
    mmproj: _Mmproj | None = None
    modelscope_repo: Repo | None = None
    modelscope_revision: str | None = None

    def __post_init__(self) -> None:
        for name in (self.revision, self.modelscope_revision, *map(self.file_name, self.files)):
            if name is not None:
                _check_name(name)
        if not {"thinking", "no_thinking"} <= self.sampling.keys():
            raise ValueError("sampling needs thinking and no_thinking")
        for mode, values in self.sampling.items():
            for name in Sampling.__struct_fields__:
                low, high = BOUNDS[name]
                if not low <= getattr(values, name) <= high:
                    raise ValueError(f"sampling.{mode}.{name} is not from {low:g} to {high:g}")

    def file_name(self, quant: str) -> str:
        return self.file_pattern.replace("{quant}", quant)

    def model(self, size: str, scores: dict[str, float]) -> Model:
        """Give it as a fact.

        `mtp_layers` is 0, since the listed files leave that block out. Parameters that nobody
        counted are taken from the largest file, as if it had 16 bits for each.
        """
        largest = max(file.bytes for file in self.files.values())
        params = self.arch.text_params or largest // 2 or 1
        return Model(
            size=size,
            name=f"Qwen3.5-{size.upper()}",
            repo=self.repo,
            revision=self.revision,
            modelscope_repo=self.modelscope_repo,
            modelscope_revision=self.modelscope_revision,
            architecture=replace(self.arch, mtp_layers=0, text_params=params),
            compute=self.compute,
            files=tuple(
                WeightsFile(
                    quant=quant,
                    name=self.file_name(quant),
                    bytes=file.bytes,
                    bytes_exact=file.exact,
                    sha256=file.sha256 and file.sha256.casefold(),
                )
                for quant, file in self.files.items()
            ),
            projector=self.mmproj.projector() if self.mmproj else None,
            sampling=self.sampling,
            thinking_default=self.thinking_default,
            scores=scores,
        )


class _Vision(Struct, frozen=True):
    benchmark: str


class _BothModes(Struct, frozen=True):
    thinking: float
    no_thinking: float


class _Table(Struct, frozen=True):
    """The document, as docs/pull.md describes it."""

    sizes: Annotated[dict[str, _Size], Meta(min_length=1)]
    uses: dict[str, UseProfile]
    vision: _Vision
    pick: PickRules
    benchmarks: dict[str, dict[str, float | _BothModes]]
    divergence: Annotated[list[tuple[Positive, Positive]], Meta(min_length=2)]
    quantisation: dict[str, dict[str, Positive]]
    speed: dict[str, Calibration]
    read: ReadRates
    unknown_bandwidth: UnknownBandwidth
    decode_tokens_per_second: tuple[_Row, ...]
    prompt_tokens_per_second: tuple[_Row, ...]

    def __post_init__(self) -> None:
        missing = {"arm", "cpu", "cuda", "metal"} - self.speed.keys()
        if missing:
            raise ValueError(f"speed lacks {', '.join(sorted(missing))}")
        if missing := _USES - self.uses.keys():
            raise ValueError(f"uses lacks {', '.join(sorted(missing))}")
        if len({bits for bits, _ in self.divergence}) < len(self.divergence):
            raise ValueError("divergence has two figures for the same bits")
        for kind, names in _DEVICES.items():
            if missing := names - getattr(self.read, kind).keys():
                raise ValueError(f"read.{kind} lacks {', '.join(sorted(missing))}")
        needed = {use: entry.benchmark for use, entry in self.uses.items()}
        for size in self.sizes:
            for use, benchmark in (needed | {"vision": self.vision.benchmark}).items():
                if benchmark not in self.scores(size):
                    raise ValueError(f"{size} has no {benchmark} score, which {use} needs")

    def scores(self, size: str) -> dict[str, float]:
        """Give the scores of a size by benchmark; those without thinking have NT in their name."""
        scores: dict[str, float] = {}
        for benchmark, row in self.benchmarks.items():
            score = row.get(size)
            if isinstance(score, _BothModes):
                scores[benchmark] = score.thinking
                scores[f"{benchmark} NT"] = score.no_thinking
            elif score is not None:
                scores[benchmark] = score
        return scores

    def catalog(self) -> Catalog:
        return Catalog(
            models=tuple(
                entry.model(size.casefold(), self.scores(size))
                for size, entry in self.sizes.items()
            ),
            uses=self.uses,
            vision_benchmark=self.vision.benchmark,
            rules=self.pick,
            divergence=tuple(sorted(self.divergence)),
            speeds=self.speed,
            read=self.read,
            unknown_bandwidth=self.unknown_bandwidth,
            decode_rates=tuple(map(_reference_rate, self.decode_tokens_per_second)),
            prompt_rates=tuple(map(_reference_rate, self.prompt_tokens_per_second)),
        )


def load() -> Catalog:
    """Load the table in force.

    Raises:
        CatalogError: It can't be read, or a part of it is missing or wrong.
    """
    path = Path(os.environ.get("QWENPICK_CATALOG") or PACKAGED)
    hint = (
        "Install qwenpick again: pip install --force-reinstall qwenpick"
        if path == PACKAGED
        else "Unset QWENPICK_CATALOG to use the packaged table."
    )
    try:
        table = files.document(path, _Table, what="the table of models")
    except UsageError as error:
        raise CatalogError(error.message, hint=hint) from None
    return overlaid(table.catalog())


def _reference_rate(row: _Row) -> ReferenceRate:
    machine, size, quant, rate = row
    low, high = rate if isinstance(rate, list) else (rate, rate)
    return ReferenceRate(machine=machine, size=size, quant=quant, low=low, high=high)


def _check_name(name: str) -> None:
    """Check a name of files or revisions, which are used as paths.

    Raises:
        ValueError: It could leave its folder.
    """
    if "\\" in name or any(part in {"", ".", ".."} for part in name.split("/")):
        raise ValueError(f"{name!r} is no file name")
