"""The cards that people have: memory and bandwidth of each, found by name.

cards.json gives for every card where its figures come from; bandwidths are peaks, in
bytes per second. A laptop's card is another card than the desktop's of the same name.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import msgspec

from qwenpick import units
from qwenpick.errors import UsageError

_NOISE = {
    "nvidia", "geforce", "amd", "radeon", "intel", "apple", "tesla", "quadro", "graphics", "gpu",
    "tm", "r", "generation", "with", "design", "edition", "hbm2", "hbm3", "hbm3e", "instinct",
    "developer", "kit", "engineering", "reference",
}  # fmt: skip
_ALSO = {
    "strix halo": "8060s",
    "ryzen ai max+ 395": "8060s",
    "dgx spark": "gb10",
}
"""What people call machines that the table has by the name of their chip."""
_LAPTOP = {"laptop", "mobile", "notebook"}
_SAME_MEMORY = 0.12
"""A driver's figure lies this close below the box's: it keeps some for itself."""


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """One card, or one machine whose memory serves processor and GPU."""

    name: str
    vendor: str
    memory: int | None
    """Bytes; None of a GPU in a processor, whose machine's memory it shares."""
    bandwidth: float | None
    """Bytes per second; None where nobody gave one."""
    source: str
    laptop: bool = False
    unified: bool = False
    board: bool = False
    """Whether it is a board or a phone, where a model runs on the processor."""
    threads: int = 0
    """Cores of a board that help the engine."""
    features: tuple[str, ...] = ()
    """Instruction sets of a board's processor."""
    pci: str | None = None
    """The device's PCI id, where the probe needs it to know the card."""


@cache
def cards() -> tuple[Card, ...]:
    """Read the table."""
    rows = Path(__file__).with_name("cards.json").read_bytes()
    return msgspec.json.decode(rows, type=tuple[Card, ...])


def find(name: str, size: int | None = None) -> Card:
    """Find the one card of a name, in any case of letters; `8GB` at its end says which version.

    Args:
        name: As people write it: `RTX 4090`, `7900xtx`, `M1 8GB`, `Raspberry Pi 5 8GB`.
        size: Bytes of its memory, which settle what the name leaves open.

    Raises:
        UsageError: There is no such card, or more than one.
    """
    words, laptop, memory = _read(name)
    fitting = [card for card in cards() if memory in (None, card.memory)]
    found = _named(fitting, words, laptop=laptop) or [
        card for card in fitting if words and words < _read(card.name)[0] and card.laptop == laptop
    ]
    if len(found) > 1 and size is not None:
        found = [card for card in found if _about(card, size)] or found
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(
            f"{name!r} is the name of several GPUs.",
            hint="Choose one of: " + ", ".join(card.name for card in found) + ".",
        )
    raise UsageError(f"Unknown GPU {name!r}.", hint=_near(name))


def bandwidth(name: str, total: int | None) -> float | None:
    """Give the bandwidth of a card by the name that its driver has for it.

    Args:
        name: As the driver writes it, such as "NVIDIA GeForce RTX 4060 Laptop GPU".
        total: Its memory in bytes, which tells versions apart.
    """
    words, laptop, memory = _read(name)
    size = memory or total
    found = [
        card.bandwidth
        for card in _named(cards(), words, laptop=laptop)
        if size is None or _about(card, size)
    ]
    return found[0] if found and len(set(found)) == 1 else None


def _about(card: Card, size: int) -> bool:
    """Say whether a card has so much memory, as far as drivers tell it."""
    return card.memory is None or abs(card.memory - size) <= card.memory * _SAME_MEMORY


def _named(
    among: tuple[Card, ...] | list[Card], words: frozenset[str], *, laptop: bool
) -> list[Card]:
    """Keep the cards of exactly these words; a laptop's only where no desktop's is named so."""
    same = [card for card in among if _read(card.name)[0] == words]
    return [card for card in same if card.laptop == laptop] or ([] if laptop else same)


@cache
def _read(name: str) -> tuple[frozenset[str], bool, int | None]:
    """Take a name apart: its telling words, whether it is a laptop's, its memory in bytes."""
    text = name.casefold().replace("max-q", "maxq").replace("(", " ").replace(")", " ")
    for called, chip in _ALSO.items():
        text = text.replace(called, chip)
    match = re.search(r"\b(\d+)\s*gi?b?\b", text)
    memory = int(match[1]) * units.GIB if match else None
    text = text[: match.start()] + " " + text[match.end() :] if match else text
    text = re.sub(r"\b(rtx|gtx|rx)(?=\d)", r"\1 ", text)
    text = re.sub(r"(?<=\d)(ti|xtx|xt|super)\b", r" \1", text)
    words = set(re.findall(r"[a-z0-9]+", text)) - _NOISE
    laptop = bool(words & _LAPTOP) or "maxq" in words
    return frozenset(words - _LAPTOP), laptop, memory


def _near(name: str) -> str:
    """Say which names are like this one."""
    import difflib

    plain = {" ".join(sorted(_read(card.name)[0])): card.name for card in cards()}
    wanted = " ".join(sorted(_read(name)[0]))
    near = difflib.get_close_matches(wanted, plain, n=3, cutoff=0.6)
    if near:
        return "Did you mean: " + ", ".join(plain[key] for key in near) + "."
    return "Give its memory instead: --vram 12G."
