"""NVIDIA's cards, as their driver tells of them through NVML. The only user of pynvml.

Chips with one memory for processor and GPU (Jetson, GB10) have no figure of their own: theirs is
the RAM. Of any other card the driver may refuse the figure: then it is unknown. A driver that
fails, hangs or crashes is a note.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qwenpick import units
from qwenpick.hardware.machine import Gpu

if TYPE_CHECKING:
    from collections.abc import Callable

    from qwenpick.hardware.machine import Memory
    from qwenpick.hardware.system_reader import SystemReader

_PATIENCE = 0.4  # seconds
_ONE_MEMORY = {"gb10", "gb110", "thor", "orin", "xavier", "tegra", "jetson"}
"""Words of the names of chips that share the machine's memory (NVIDIA's CUDA GPU list)."""
_BUSY_FROM = 256 * units.MIB
"""Memory of other processes that is worth a note; a desktop's own windows take less."""


def gpus(sources: SystemReader, memory: Memory) -> tuple[list[Gpu], list[str], list[str]]:
    """Give the cards in the driver's order, their UUIDs, and what there is to say of them."""
    if not _driver_is_here(sources):
        board = _jetson(sources, memory)
        return board, [""] * len(board), []
    from qwenpick.hardware import isolate

    try:
        found = isolate.call_isolated(_ask, seconds=_PATIENCE)
    except isolate.IsolatedCallError as error:
        cards = _from_proc(sources)
        return cards, [""] * len(cards), [f"The NVIDIA driver {error}; try `nvidia-smi`."]
    notes = [f"The NVIDIA driver does not start ({found['error']})."] if found["error"] else []
    driver = _driver(found)
    cards = [_card(card, driver, memory) for card in found["cards"]]
    notes += [
        f"The NVIDIA driver does not say how much memory {card.name} has; it is not used."
        for card in cards
        if card.total is None
    ]
    notes += [
        f"Other processes hold {units.memory(card['others'])} of {card['name']}'s memory."
        for card in found["cards"]
        if card["others"] >= _BUSY_FROM
    ]
    return cards, [card["uuid"] for card in found["cards"]], notes


def _jetson(sources: SystemReader, memory: Memory) -> list[Gpu]:
    """Give the GPU of a Jetson, whose system has no NVML before JetPack 6."""
    board = (sources.text("/proc/device-tree/model") or "").rstrip("\0")
    if "Jetson" not in board:
        return []
    return [
        Gpu(
            vendor="nvidia",
            name=board,
            total=memory.total,
            free=memory.available,
            unified=True,
        )
    ]


def _driver_is_here(sources: SystemReader) -> bool:
    """Look for the driver's library, without the 30 ms that pynvml takes."""
    if sources.platform == "darwin":
        return False
    import ctypes

    try:
        ctypes.CDLL("nvml.dll" if sources.platform == "win32" else "libnvidia-ml.so.1")
    except OSError:
        return False
    import pynvml  # noqa: F401 - here, so that importing it is not held against the driver

    return True


def _ask() -> dict[str, Any]:
    """Ask the driver for all that is needed, as JSON can carry it."""
    import pynvml as nvml

    found: dict[str, Any] = {"error": None, "driver": None, "cuda": None, "cards": []}
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        return found | {"error": str(error)}
    found["driver"] = _try(nvml.nvmlSystemGetDriverVersion)
    found["cuda"] = _try(nvml.nvmlSystemGetCudaDriverVersion)
    for index in range(_try(nvml.nvmlDeviceGetCount) or 0):
        handle = _try(nvml.nvmlDeviceGetHandleByIndex, index)
        if handle is not None:
            found["cards"] += _parts(handle) or [_facts(handle)]
    return found


def _parts(handle: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - a handle of pynvml
    """Give the MIG instances of a card that was split; CUDA sees those in its place."""
    import pynvml as nvml

    mode = _try(nvml.nvmlDeviceGetMigMode, handle)
    if not mode or mode[0] != nvml.NVML_DEVICE_MIG_ENABLE:
        return []
    whole = _facts(handle)
    parts = []
    for index in range(_try(nvml.nvmlDeviceGetMaxMigDeviceCount, handle) or 0):
        part = _try(nvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, index)
        if part is not None:
            parts.append(_facts(part) | {"compute": whole["compute"], "clock": None})
    return parts


def _facts(handle: Any) -> dict[str, Any]:  # noqa: ANN401 - a handle of pynvml
    import pynvml as nvml

    memory = _try(nvml.nvmlDeviceGetMemoryInfo, handle)
    compute = _try(nvml.nvmlDeviceGetCudaComputeCapability, handle)
    running = _try(nvml.nvmlDeviceGetComputeRunningProcesses, handle) or []
    return {
        "name": _try(nvml.nvmlDeviceGetName, handle) or "NVIDIA GPU",
        "uuid": _try(nvml.nvmlDeviceGetUUID, handle) or "",
        "total": memory.total if memory else None,
        "free": memory.free if memory else None,
        "compute": f"{compute[0]}.{compute[1]}" if compute else None,
        "clock": _try(nvml.nvmlDeviceGetMaxClockInfo, handle, nvml.NVML_CLOCK_MEM),
        "bus": _try(nvml.nvmlDeviceGetMemoryBusWidth, handle),
        "others": sum(process.usedGpuMemory or 0 for process in running),
    }


def _try(question: Callable[..., Any], *arguments: Any) -> Any:  # noqa: ANN401 - NVML's own
    """Ask for one thing; None where this driver or this card has no answer."""
    import pynvml as nvml

    try:
        return question(*arguments)
    except nvml.NVMLError:
        return None


def _card(found: dict[str, Any], driver: str | None, memory: Memory) -> Gpu:
    """Make a card's facts; a chip without memory of its own uses the machine's."""
    words = set(found["name"].casefold().split())
    unified = not found["total"] and bool(words & _ONE_MEMORY)
    return Gpu(
        vendor="nvidia",
        name=found["name"],
        total=memory.total if unified else found["total"] or None,
        free=memory.available if unified else found["free"],
        unified=unified,
        driver=driver,
        compute=found["compute"],
        bandwidth_bytes_per_second=_bandwidth(found),
    )


def _bandwidth(found: dict[str, Any]) -> float | None:
    """Give the memory's peak: two transfers a clock over the bus, as CUDA's deviceQuery has it."""
    if not found["clock"] or not found["bus"]:
        return None
    return float(2 * found["clock"] * 10**6 * found["bus"] / 8)


def _driver(found: dict[str, Any]) -> str | None:
    """Name the driver, and the CUDA that it carries: `570.133.20, CUDA 12.8`."""
    cuda = found["cuda"]
    parts = [found["driver"], f"CUDA {cuda // 1000}.{cuda % 1000 // 10}" if cuda else None]
    return ", ".join(part for part in parts if part) or None


def _from_proc(sources: SystemReader) -> list[Gpu]:
    """Name the cards from the kernel's files, where the driver does not answer."""
    cards = []
    for folder in sources.names("/proc/driver/nvidia/gpus"):
        text = sources.text(f"/proc/driver/nvidia/gpus/{folder}/information") or ""
        for line in text.splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "Model":
                cards.append(Gpu(vendor="nvidia", name=value.strip(), total=None, free=None))
    return cards
