"""The document of `recommend --json`, with the contract's keys, made from the facts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import convert

from qwenpick.cli.documents import Document, Part
from qwenpick.cli.pages import recommend_words as words
from qwenpick.hardware.machine import Machine
from qwenpick.pick.fit import CONTEXTS, Verdict
from qwenpick.pick.request import Settings, Use
from qwenpick.pick.speed import Basis
from qwenpick.pick.what_if import WhatIf

if TYPE_CHECKING:
    from qwenpick.pick.choose import Candidate
    from qwenpick.pick.recommendation import Recommendation


class RequestPart(Part, frozen=True, kw_only=True):
    """What was asked for."""

    use: Use
    context: int
    vision: bool
    min_speed: float | None


class DeviceBytes(Part, frozen=True, kw_only=True):
    """What a device holds of the total."""

    name: str
    bytes: int


class MemoryPart(Part, frozen=True, kw_only=True):
    """What it takes in bytes, part by part, at the full context."""

    weights: int
    repack: int
    kv_cache: int
    recurrent_state: int
    compute: int
    output: int
    vision: int
    checkpoints: int
    overhead: int
    total: int
    """The sum of the parts above; `host` and the devices add up to it, too."""
    host: int
    devices: list[DeviceBytes]


class SpeedPart(Part, frozen=True, kw_only=True):
    """Tokens per second, and what they are based on."""

    decode: float | None
    prompt: float | None
    basis: Basis


class FitPart(Part, frozen=True, kw_only=True):
    """A file, with the settings that it would run with."""

    size: str
    quant: str
    settings: Settings
    memory: MemoryPart
    speed: SpeedPart
    quality: float
    """Points of 100: the size's benchmark score, less what the quantisation loses."""
    reason: str


class GuidePart(Part, frozen=True, kw_only=True):
    """The guide's row."""

    row: str
    sizes: list[str]
    agrees: bool
    note: str
    """Why the row is not followed; empty where it is."""


class PickPart(FitPart, frozen=True, kw_only=True):
    """The pick."""

    repo: str
    revision: str
    file: str
    bytes: int
    bytes_exact: bool
    sha256: str | None
    concessions: list[str]
    """What was given up for it to fit."""
    changes: list[WhatIf]
    """What would change the pick."""
    guide: GuidePart


class OtherPart(FitPart, frozen=True, kw_only=True):
    """Another file, and why it is not the pick."""

    verdict: Verdict


class RecommendDocument(Document, frozen=True, kw_only=True):
    """What `recommend --json` prints."""

    machine: Machine
    wish: RequestPart
    pick: PickPart
    others: list[OtherPart]
    notes: list[str]


def document(answer: Recommendation) -> RecommendDocument:
    """Give the document."""
    wish, pick, guide = answer.wish, answer.pick, answer.guide
    return RecommendDocument(
        machine=answer.machine,
        wish=RequestPart(
            use=wish.use,
            context=wish.context or CONTEXTS[0],
            vision=wish.vision,
            min_speed=wish.min_speed,
        ),
        pick=PickPart(
            **_fit(pick),
            reason=words.reason(answer) + ".",
            repo=pick.model.repo,
            revision=pick.model.revision,
            file=pick.file.name,
            bytes=pick.file.bytes,
            bytes_exact=pick.file.bytes_exact,
            sha256=pick.file.sha256,
            concessions=list(words.degradations(pick)),
            changes=list(answer.what_if),
            guide=GuidePart(
                row=guide.row.requirement,
                sizes=list(guide.row.sizes),
                agrees=guide.departure is None,
                note=words.guide_note(answer),
            ),
        ),
        others=[
            OtherPart(
                **_fit(other.candidate),
                verdict=other.candidate.verdict,
                reason=words.against(answer, other),
            )
            for other in answer.others
        ],
        notes=list(words.remarks(answer)),
    )


def _fit(one: Candidate) -> dict[str, Any]:
    """Give what a pick and another file have in common, but for the reason."""
    speed = one.settled.speed
    return {
        "size": one.model.size,
        "quant": one.file.quant,
        "settings": one.settled.settings,
        "memory": convert(one.settled.memory.to_json(), MemoryPart),
        "speed": SpeedPart(decode=speed.decode, prompt=speed.prompt, basis=speed.basis),
        "quality": one.quality,
    }
