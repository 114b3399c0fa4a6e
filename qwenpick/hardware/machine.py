"""A machine, as facts: what `probe` found, or what a file or a flag says.

Names are the keys of `probe --json`. All memory in bytes, all rates in bytes per
second; what is not known is None and has a note, it is never invented.
"""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct, to_builtins

Bytes = Annotated[int, Meta(ge=0, le=1 << 60)]
Rate = Annotated[float, Meta(ge=0, le=1e18)]
"""Bytes per second, or tokens per second."""
Cores = Annotated[int, Meta(ge=1, le=1 << 20)]


class Cpu(Struct, frozen=True, kw_only=True):
    """The processor, and how much of it this process may use."""

    name: str | None
    physical_cores: Cores | None
    usable_threads: Cores
    """Threads that help the engine: cores in the affinity mask and under the quota."""
    quota: Rate | None = None
    """CPU quota of the cgroup in cores, None without one."""
    features: tuple[str, ...] = ()


class Memory(Struct, frozen=True, kw_only=True):
    """RAM: what is there, and what may be used."""

    total: Bytes
    available: Bytes
    """What may be used now, under every limit."""
    limit: Bytes | None = None
    limit_source: str | None = None
    bandwidth_bytes_per_second: Rate | None = None


class Gpu(Struct, frozen=True, kw_only=True):
    """One device that the engine could use."""

    vendor: str
    name: str
    total: Bytes | None
    free: Bytes | None
    unified: bool = False
    """Whether its memory is the machine's RAM."""
    driver: str | None = None
    compute: str | None = None
    bandwidth_bytes_per_second: Rate | None = None


class Disk(Struct, frozen=True, kw_only=True):
    """The disk that downloads go to."""

    path: str
    free: Bytes | None


_DRIVEN_BY = {
    "nvidia": {"cuda", "vulkan"}, "amd": {"hip", "vulkan"}, "apple": {"metal"},
    "intel": {"sycl", "vulkan"},
}  # fmt: skip
"""Vendor to the backends that can use its GPUs."""


class EngineBuild(Struct, frozen=True, kw_only=True):
    """The build of llama-cpp-python in this environment."""

    installed: bool
    version: str | None = None
    backends: tuple[str, ...] = ()
    """Of `cpu`, `cuda`, `hip`, `vulkan`, `metal`, `sycl`."""
    knows_qwen35: bool | None = None

    def drives(self, gpu: Gpu) -> bool:
        """Tell whether this build can use a GPU."""
        return bool(_DRIVEN_BY.get(gpu.vendor, set()) & set(self.backends))


class Machine(Struct, frozen=True, kw_only=True):
    """All that the pick needs to know of a machine."""

    os: str
    arch: str
    cpu: Cpu
    memory: Memory
    gpus: Annotated[tuple[Gpu, ...], Meta(max_length=64)] = ()
    disk: Disk
    engine: EngineBuild
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Give the document of `probe --json`, without `schema`."""
        document: dict[str, Any] = to_builtins(self)
        return document


class Measurement(Struct, frozen=True, kw_only=True):
    """What a model file reached here, in tokens per second."""

    model_file: str
    size: str | None
    quant: str | None
    weights_bytes: Bytes
    threads: Cores
    repack: bool
    gpu_layers: Annotated[int, Meta(ge=0, le=1 << 20)]
    prompt_rate: Rate | None
    decode_rate: Rate | None
    memory_bandwidth_bytes_per_second: Rate | None
    engine_version: str | None
    taken: str
    """ISO date."""

    @property
    def key(self) -> tuple[str, int, bool, int, str | None]:
        """What makes two measurements the same one, taken twice."""
        return (self.model_file, self.threads, self.repack, self.gpu_layers, self.engine_version)
