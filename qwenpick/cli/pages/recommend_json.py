"""The document of `recommend --json`, with the contract's keys, made from the facts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import to_builtins

from qwenpick.cli.pages import recommend_words as words
from qwenpick.pick.fit import CONTEXTS

if TYPE_CHECKING:
    from qwenpick.pick.choose import Candidate
    from qwenpick.pick.recommendation import Recommendation


def document(answer: Recommendation) -> dict[str, Any]:
    """Give the document, without `schema`."""
    wish, pick = answer.wish, answer.pick
    return {
        "machine": answer.machine.to_json(),
        "wish": {
            "use": wish.use,
            "context": wish.context or CONTEXTS[0],
            "vision": wish.vision,
            "min_speed": wish.min_speed,
        },
        "pick": {
            "size": pick.model.size,
            "quant": pick.file.quant,
            "repo": pick.model.repo,
            "revision": pick.model.revision,
            "file": pick.file.name,
            "bytes": pick.file.bytes,
            "bytes_exact": pick.file.bytes_exact,
            "sha256": pick.file.sha256,
            **_settled(pick),
            "quality": pick.quality,
            "reason": words.reason(answer) + ".",
            "concessions": list(words.degradations(pick)),
            "changes": [to_builtins(change) for change in answer.what_if],
            "guide": {
                "row": answer.guide.row.requirement,
                "sizes": list(answer.guide.row.sizes),
                "agrees": answer.guide.departure is None,
                "note": words.guide_note(answer),
            },
        },
        "others": [
            {
                "size": other.candidate.model.size,
                "quant": other.candidate.file.quant,
                "verdict": other.candidate.verdict,
                "quality": other.candidate.quality,
                **_settled(other.candidate),
                "reason": words.against(answer, other),
            }
            for other in answer.others
        ],
        "notes": list(words.remarks(answer)),
    }


def _settled(one: Candidate) -> dict[str, Any]:
    fit = one.settled
    return {
        "settings": to_builtins(fit.settings),
        "memory": fit.memory.to_json(),
        "speed": {
            "decode": fit.speed.decode,
            "prompt": fit.speed.prompt,
            "basis": fit.speed.basis,
        },
    }
