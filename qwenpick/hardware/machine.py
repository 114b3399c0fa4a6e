"""A machine, as facts: what `probe` found, or what a file or a flag says.

Names are the keys of `probe --json`. All memory in bytes, all rates in bytes per
second; what is not known is None and has a note, it is never invented.
"""

from __future__ import annotations  # the reader below takes each field's type as text

from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any, Self, TypeVar

from qwenpick.errors import UsageError

Fact = TypeVar("Fact")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cpu:
    """The processor, and how much of it this process may use."""

    name: str | None
    physical_cores: int | None
    usable_threads: int
    """Threads that help the engine: cores in the affinity mask and under the quota."""
    quota: float | None = None
    """CPU quota of the cgroup in cores, None without one."""
    features: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """RAM: what is there, and what may be used."""

    total: int
    available: int
    """What may be used now, under every limit."""
    limit: int | None = None
    limit_source: str | None = None
    bandwidth_bytes_per_second: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One device that the engine could use."""

    vendor: str
    name: str
    total: int | None
    free: int | None
    unified: bool = False
    """Whether its memory is the machine's RAM."""
    driver: str | None = None
    compute: str | None = None
    bandwidth_bytes_per_second: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """The disk that downloads go to."""

    path: str
    free: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineBuild:
    """The build of llama-cpp-python in this environment."""

    installed: bool
    version: str | None = None
    backends: tuple[str, ...] = ()
    """Of `cpu`, `cuda`, `hip`, `vulkan`, `metal`, `sycl`."""
    knows_qwen35: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """All that the pick needs to know of a machine."""

    os: str
    arch: str
    cpu: Cpu
    memory: Memory
    gpus: tuple[Gpu, ...] = ()
    disk: Disk
    engine: EngineBuild
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Give the document of `probe --json`, without `schema`."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: object) -> Self:
        """Read the document of `probe --json`; `schema` and unknown keys are ignored.

        Raises:
            UsageError: A part is missing, or is not of its type.
        """
        try:
            data = _table(document, "the document")
            return cls(
                os=_text(data, "os"),
                arch=_text(data, "arch"),
                cpu=_read(Cpu, data.get("cpu"), "cpu"),
                memory=_read(Memory, data.get("memory"), "memory"),
                gpus=tuple(_read(Gpu, gpu, "gpus") for gpu in _list(data, "gpus")),
                disk=_read(Disk, data.get("disk"), "disk"),
                engine=_read(EngineBuild, data.get("engine"), "engine"),
                notes=tuple(str(note) for note in _list(data, "notes")),
            )
        except ValueError as error:
            raise UsageError(
                f"This is no machine file: {error}.",
                hint="Make one with: qwenpick probe --json > machine.json",
            ) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What a model file reached here, in tokens per second."""

    model_file: str
    size: str | None
    quant: str | None
    weights_bytes: int
    threads: int
    repack: bool
    gpu_layers: int
    prompt_rate: float | None
    decode_rate: float | None
    memory_bandwidth_bytes_per_second: float | None
    engine_version: str | None
    taken: str
    """ISO date."""

    @property
    def key(self) -> tuple[str, int, bool, int, str | None]:
        """What makes two measurements the same one, taken twice."""
        return (self.model_file, self.threads, self.repack, self.gpu_layers, self.engine_version)


_KINDS: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "tuple[str, ...]": (list, tuple),
}


def _read(kind: type[Fact], document: object, where: str) -> Fact:
    """Make one of the facts above of its JSON table."""
    data = _table(document, where)
    values: dict[str, Any] = {}
    for slot in fields(kind):  # type: ignore[arg-type]  # kind is one of the dataclasses above
        if slot.name in data:
            values[slot.name] = _value(data[slot.name], str(slot.type), f"{where}.{slot.name}")
        elif slot.default is MISSING:
            raise ValueError(f"{where}.{slot.name} is missing")
    return kind(**values)


def _value(value: object, wanted: str, where: str) -> object:
    """Check *value* against the type that its field is written with."""
    name, _, optional = wanted.partition(" | ")
    if value is None and optional:
        return None
    kinds = _KINDS[name]
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        raise ValueError(f"{where} is {value!r}")
    if isinstance(value, (int, float)) and not 0 <= value < float("inf"):
        raise ValueError(f"{where} is {value!r}")
    return tuple(map(str, value)) if isinstance(value, (list, tuple)) else value


def _table(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{where} is no table")  # noqa: TRY004 - one kind of error for a bad file
    return value


def _list(data: dict[str, Any], key: str) -> list[Any]:
    value = data.get(key, [])
    if not isinstance(value, list):
        raise ValueError(f"{key} is no list")  # noqa: TRY004 - one kind of error for a bad file
    return value


def _text(data: dict[str, Any], key: str) -> str:
    value = data.get(key)
    if not isinstance(value, str):
        raise ValueError(f"{key} is no text")  # noqa: TRY004 - one kind of error for a bad file
    return value
