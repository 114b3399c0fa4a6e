"""The document of `recommend --json`, with the contract's keys, made from the facts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import convert, to_builtins
from msgspec.structs import replace

from qwenpick.cli.documents import Document, Part
from qwenpick.cli.pages import recommend_words as words
from qwenpick.hardware.machine import Machine
from qwenpick.pick.fit import Verdict
from qwenpick.pick.request import Settings, Use
from qwenpick.pick.speed import Basis
from qwenpick.pick.what_if import WhatIf

if TYPE_CHECKING:
    from qwenpick.pick.budget import Budget
    from qwenpick.pick.choose import Candidate
    from qwenpick.pick.recommendation import Recommendation

_DIGITS = 2


class RequestPart(Part, frozen=True, kw_only=True):
    """What was asked for."""

    use: Use
    context: int
    vision: bool
    min_speed: float | None
    users: int
    patience: float
    """Seconds after which an answer is worth half."""


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


class BudgetPart(Part, frozen=True, kw_only=True):
    """What a model may use, in bytes; pooled where devices and host are the same memory."""

    host: int
    devices: list[DeviceBytes]
    pooled: bool


class SpeedPart(Part, frozen=True, kw_only=True):
    """Tokens per second, what they are based on, and the seconds to an answer."""

    decode: float
    prompt: float
    basis: Basis
    answer_seconds: float
    thought_seconds: float | None
    """What a thought takes before it; null where the use has none."""


class QualityPart(Part, frozen=True, kw_only=True):
    """Points of 100 in a benchmark, and the share that the quantisation keeps of them."""

    score: float
    benchmark: str
    kept: float


class FitPart(Part, frozen=True, kw_only=True):
    """A file, with the settings that it would run with."""

    size: str
    quant: str
    bytes: int
    settings: Settings
    memory: MemoryPart
    speed: SpeedPart
    quality: QualityPart
    value: float
    """The quality, less what the wait takes off it: what files are compared by."""
    reason: str


class GuidePart(Part, frozen=True, kw_only=True):
    """The guide's row."""

    row: str
    sizes: list[str]
    agrees: bool
    note: str
    """Why the row is not followed; empty where it is."""


class PickPart(FitPart, frozen=True, kw_only=True):
    """The pick, or a file beside it."""

    repo: str
    revision: str
    file: str
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
    budget: BudgetPart
    pick: PickPart
    faster: PickPart | None
    better: PickPart | None
    others: list[OtherPart]
    notes: list[str]


def document(answer: Recommendation) -> RecommendDocument:
    """Give the document."""
    return convert(_document(answer), RecommendDocument)


def _document(answer: Recommendation) -> dict[str, Any]:
    wish = answer.wish
    return {
        "machine": to_builtins(answer.machine),
        "wish": {
            "use": wish.use,
            "context": wish.context or answer.longest_context,
            "vision": wish.vision,
            "min_speed": wish.min_speed,
            "users": wish.users,
            "patience": answer.patience,
        },
        "budget": _budget(answer.budget),
        "pick": _pick(answer),
        "faster": _beside(answer, answer.faster),
        "better": _beside(answer, answer.better),
        "others": [
            {
                "size": other.candidate.model.size,
                "quant": other.candidate.file.quant,
                "bytes": other.candidate.file.bytes,
                "verdict": other.candidate.verdict,
                **_settled(other.candidate),
                "reason": words.against(answer, other),
            }
            for other in answer.others
        ],
        "notes": list(words.remarks(answer)),
    }


def _beside(answer: Recommendation, one: Candidate | None) -> dict[str, Any] | None:
    """Give another candidate as if it were the pick."""
    if one is None:
        return None
    followed = one.model.size in answer.guide.row.sizes
    guide = replace(answer.guide, departure=None) if followed else answer.guide
    return _pick(replace(answer, pick=one, what_if=(), guide=guide))


def _pick(answer: Recommendation) -> dict[str, Any]:
    pick = answer.pick
    return {
        "size": pick.model.size,
        "quant": pick.file.quant,
        "repo": pick.model.repo,
        "revision": pick.model.revision,
        "file": pick.file.name,
        "bytes": pick.file.bytes,
        "bytes_exact": pick.file.bytes_exact,
        "sha256": pick.file.sha256,
        **_settled(pick),
        "reason": words.reason(answer) + ".",
        "concessions": list(words.degradations(pick)),
        "changes": [to_builtins(change) for change in answer.what_if],
        "guide": {
            "row": answer.guide.row.requirement,
            "sizes": list(answer.guide.row.sizes),
            "agrees": answer.guide.departure is None,
            "note": words.guide_note(answer),
        },
    }


def _budget(budget: Budget) -> dict[str, Any]:
    return {
        "host": budget.host,
        "devices": [{"name": one.name, "bytes": one.budget} for one in budget.devices],
        "pooled": budget.pooled,
    }


def _settled(one: Candidate) -> dict[str, Any]:
    fit = one.settled
    return {
        "settings": to_builtins(fit.settings),
        "memory": fit.memory.to_json(),
        "speed": {
            "decode": round(fit.speed.decode, _DIGITS),
            "prompt": round(fit.speed.prompt, _DIGITS),
            "basis": fit.speed.basis,
            "answer_seconds": round(one.answer_seconds, _DIGITS),
            "thought_seconds": round(one.thought_seconds, _DIGITS) or None,
        },
        "quality": {
            "score": round(one.quality.score, _DIGITS),
            "benchmark": one.quality.benchmark,
            "kept": round(one.quality.kept, 4),
        },
        "value": round(one.value, _DIGITS),
    }
