"""All the devices that the engine could use, less those that the environment hides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from qwenpick.hardware import nvidia

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from qwenpick.hardware.machine import EngineBuild, Gpu, Memory
    from qwenpick.hardware.system_reader import SystemReader


def gpus(sources: SystemReader, memory: Memory, build: EngineBuild) -> tuple[list[Gpu], list[str]]:
    """Give the GPUs that may be used, and what there is to say of them."""
    if sources.platform == "darwin":
        from qwenpick.hardware import apple

        return [_rated(gpu, memory, sources) for gpu in apple.gpus(sources, memory)], []
    found, uuids, notes = nvidia.gpus(sources, memory)
    found = _one_part(_obey(sources, "CUDA_VISIBLE_DEVICES", found, notes, uuids), notes)
    for more, said in _others(sources, memory):
        found += more
        notes += said
    if "vulkan" in build.backends:
        found = _obey(sources, "GGML_VK_VISIBLE_DEVICES", found, notes)
    return [_rated(gpu, memory, sources) for gpu in found], notes


def _one_part(found: list[Gpu], notes: list[str]) -> list[Gpu]:
    """Keep the first part of split cards: CUDA takes one in a process, the first it sees.

    Source: NVIDIA's MIG user guide, "CUDA device enumeration".
    """
    parts = [gpu for gpu in found if " MIG " in gpu.name]
    if len(parts) > 1:
        notes.append(
            f"A process can use one of the {len(parts)} MIG instances: the first, or the one in "
            "CUDA_VISIBLE_DEVICES."
        )
    return parts[:1] or found


def _others(sources: SystemReader, memory: Memory) -> Iterator[tuple[list[Gpu], list[str]]]:
    """Give the GPUs of other makers; each source is imported where it has something to say."""
    if sources.platform == "win32":
        from qwenpick.hardware import windows

        yield windows.gpus(sources)
    elif sources.names("/sys/class/drm"):
        from qwenpick.hardware import amd, intel

        found, said = amd.gpus(sources, memory)
        for name in ("ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES"):
            found = _obey(sources, name, found, said)
        yield found, said
        yield intel.gpus(sources)


def visible(cards_there: Sequence[Gpu], named: str, uuids: Sequence[str] = ()) -> list[Gpu]:
    """Keep what a variable such as CUDA_VISIBLE_DEVICES names, in its order.

    CUDA's rules: indices, or the beginnings of UUIDs; the first that is neither ends the
    list; an empty one hides all (CUDA C++ programming guide, "CUDA environment variables").
    """
    kept: list[Gpu] = []
    for word in (part.strip() for part in named.split(",")):
        index = next(
            (number for number, uuid in enumerate(uuids) if word and uuid.startswith(word)), None
        )
        if index is None and word.isdecimal() and int(word) < len(cards_there):
            index = int(word)
        if index is None or (cards_there[index] in kept and uuids == ()):
            break
        kept.append(cards_there[index])
    return kept


def _obey(
    sources: SystemReader,
    variable: str,
    found: list[Gpu],
    notes: list[str],
    uuids: Sequence[str] = (),
) -> list[Gpu]:
    """Apply a variable, and note what it hides."""
    named = sources.environment.get(variable)
    if named is None or not found:
        return found
    kept = visible(found, named, uuids)
    if len(kept) < len(found):
        hidden = len(found) - len(kept)
        notes.append(f"{variable} hides {hidden} of {len(found)} GPUs.")
    if kept and len({gpu.name for gpu in found}) > 1 and variable == "CUDA_VISIBLE_DEVICES":
        order = sources.environment.get("CUDA_DEVICE_ORDER")
        if order != "PCI_BUS_ID":
            notes.append(
                "CUDA numbers different GPUs by speed; set CUDA_DEVICE_ORDER=PCI_BUS_ID to "
                "use the numbers of nvidia-smi."
            )
    return kept


def _rated(gpu: Gpu, memory: Memory, sources: SystemReader) -> Gpu:
    """Give a GPU without a bandwidth the one of the table, by its name or its board's."""
    if gpu.bandwidth_bytes_per_second is not None:
        return gpu
    from qwenpick.hardware import cards

    size = memory.total if gpu.unified else gpu.total
    rate = cards.bandwidth(gpu.name, size)
    if rate is None and gpu.unified:
        rate = cards.bandwidth(sources.text("/proc/device-tree/model") or "", size)
    return replace(gpu, bandwidth_bytes_per_second=rate) if rate else gpu
