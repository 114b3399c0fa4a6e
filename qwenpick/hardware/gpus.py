"""All the devices that the engine could use, less those that the environment hides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qwenpick.hardware import apple, nvidia

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qwenpick.hardware.machine import Gpu, Memory
    from qwenpick.hardware.sources import Sources


def gpus(sources: Sources, memory: Memory) -> tuple[list[Gpu], list[str]]:
    """Give the GPUs that may be used, and what there is to say of them."""
    if sources.platform == "darwin":
        return apple.gpus(sources, memory), []
    cards, uuids, notes = nvidia.gpus(sources, memory)
    found, said = visible(cards, sources.environment.get("CUDA_VISIBLE_DEVICES"), uuids)
    if said:
        notes.append(f"CUDA_VISIBLE_DEVICES hides {said} of {len(cards)} NVIDIA devices.")
    return found, notes


def visible(
    cards: Sequence[Gpu], named: str | None, uuids: Sequence[str] = ()
) -> tuple[list[Gpu], int]:
    """Keep what a variable such as CUDA_VISIBLE_DEVICES names, in its order.

    CUDA's rules: indices or the beginnings of UUIDs; the first that is none ends the
    list; unset is all, empty is none (CUDA C++ programming guide, "Environment variables").

    Returns:
        The cards, and how many were hidden.
    """
    if named is None:
        return list(cards), 0
    kept: list[Gpu] = []
    for word in (part.strip() for part in named.split(",")):
        index = next(
            (number for number, uuid in enumerate(uuids) if word and uuid.startswith(word)), None
        )
        if index is None and word.isdecimal() and int(word) < len(cards):
            index = int(word)
        if index is None:
            break
        kept.append(cards[index])
    return kept, len(cards) - len(kept)
