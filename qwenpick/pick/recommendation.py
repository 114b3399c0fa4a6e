"""The pick in words: why it, what the guide says, and what would change it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from qwenpick import units
from qwenpick.pick.choose import Candidate, Candidates, choose
from qwenpick.pick.fit import CONTEXTS, PickInput
from qwenpick.pick.guide import GuideRow, row_for
from qwenpick.pick.profile import FOUR_BITS, bits
from qwenpick.pick.what_if import changes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qwenpick.hardware.machine import Machine
    from qwenpick.pick.budget import Budget
    from qwenpick.pick.request import Request


class Recommendation(Struct, frozen=True, kw_only=True):
    """The answer to a question: one pick, the others, and the words beside them."""

    machine: Machine
    wish: Request
    budget: Budget
    pick: Candidate
    reason: str
    changes: tuple[str, ...]
    row: GuideRow
    agrees: bool
    guide_note: str
    others: tuple[tuple[Candidate, str], ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Give the document of `recommend --json`."""
        wish = self.wish
        guide = {
            "row": self.row.requirement,
            "sizes": list(self.row.sizes),
            "agrees": self.agrees,
            "note": self.guide_note,
        }
        file, model = self.pick.file, self.pick.model
        return {
            "machine": self.machine.to_json(),
            "wish": {
                "use": wish.use,
                "context": wish.context or CONTEXTS[0],
                "vision": wish.vision,
                "min_speed": wish.min_speed,
            },
            "pick": {
                "size": model.size,
                "quant": file.quant,
                "repo": model.repo,
                "revision": model.revision,
                "file": file.name,
                "bytes": file.bytes,
                "bytes_exact": file.bytes_exact,
                "sha256": file.sha256,
                **self.pick.settled.to_json(),
                "quality": self.pick.quality,
                "reason": self.reason,
                "concessions": list(self.pick.settled.concessions),
                "changes": list(self.changes),
                "guide": guide,
            },
            "others": [
                {
                    "size": one.model.size,
                    "quant": one.file.quant,
                    "verdict": one.verdict,
                    "quality": one.quality,
                    **one.settled.to_json(),
                    "reason": reason,
                }
                for one, reason in self.others
            ],
            "notes": list(self.notes),
        }


def recommend(question: PickInput, *, everything: bool = False) -> Recommendation:
    """Answer a question.

    Args:
        question: The machine and the wish.
        everything: Whether `others` has every file, or the best one of each other size.

    Raises:
        NothingFitsError: No file meets what was asked.
    """
    candidates = Candidates(question)
    pick = choose(candidates)
    if pick is None:
        from qwenpick.pick.no_fit import nothing

        raise nothing(candidates)
    row = row_for(question.machine, question.wish)
    others = list(_all(candidates) if everything else _best_of_each(candidates, pick))
    return Recommendation(
        machine=question.machine,
        wish=question.wish,
        budget=question.budget,
        pick=pick,
        reason=_reason(candidates, pick),
        changes=tuple(changes(candidates, pick)),
        row=row,
        agrees=pick.model.size in row.sizes,
        guide_note=_guide_note(candidates, pick, row),
        others=tuple(
            (one, against(candidates, one, pick)) for one in others if one.name != pick.name
        ),
        notes=tuple(_notes(candidates, pick)),
    )


def _all(candidates: Candidates) -> Iterator[Candidate]:
    return candidates.walk(lambda *_: True)


def _best_of_each(candidates: Candidates, pick: Candidate) -> Iterator[Candidate]:
    """Give the best file of each other size: one that will do, else that fits, else 4 bits."""
    for model in candidates.question.catalog.models:
        if model.size == pick.model.size:
            continue
        files = [
            (file, score)
            for of_model, file, score in candidates.files
            if of_model is model and bits(file.quant) >= FOUR_BITS
        ]
        ranked = (candidates.of(model, file, score) for file, score in files)
        best = next((one for one in ranked if one.good), None)
        if best:
            yield best
        elif files:
            yield max(
                (candidates.of(model, file, score) for file, score in files),
                key=lambda one: (one.settled.fits, one.settled.speed.decode or 0),
            )


def against(candidates: Candidates, one: Candidate, pick: Candidate) -> str:
    """Say in a few words why *one* is not the pick."""
    settled = one.settled
    if one.verdict == "too-big":
        return f"takes {units.memory(settled.memory.total)}"
    if one.verdict == "too-slow":
        if settled.speed.decode is None:
            return "its speed is unknown"
        rate = units.rate(settled.speed.decode)
        return f"about {rate} tokens/s, and {candidates.floor:g} is the least"
    if one.quality == pick.quality:
        return "no better, and larger"
    if one.quality < pick.quality:
        return "fits; its answers are not as good"
    return f"fits; --for {candidates.question.wish.use} takes {pick.model.size.upper()}"


def _reason(candidates: Candidates, pick: Candidate) -> str:
    budget = candidates.question.budget.said
    if pick.verdict == "too-slow":
        return f"the fastest that fits {budget}; nothing here is quicker"
    parts = [f"the best answers that fit {budget}"]
    if candidates.floor and pick.settled.speed.decode is not None:
        parts.append(f"at {candidates.floor:g} tokens/s or more")
    sentence = " ".join(parts)
    wish = candidates.question.wish
    if wish.size is None and wish.use in {"mobile", "iot", "agent"}:
        sentence = f"{pick.model.size.upper()} is the size for {wish.use}; {sentence} of it"
    return sentence


def _guide_note(candidates: Candidates, pick: Candidate, row: GuideRow) -> str:
    if pick.model.size in row.sizes:
        return ""
    wish = candidates.question.wish
    if wish.size:
        return f"{wish.size.upper()} was asked for"
    model = candidates.question.catalog.model(row.sizes[-1])
    tried = [
        candidates.of(of_model, file, score)
        for of_model, file, score in candidates.files
        if of_model is model and bits(file.quant) >= FOUR_BITS
    ]
    fitting = [one for one in tried if one.settled.fits]
    size = row.sizes[-1].upper()
    if not tried:
        return f"no file of {size} was asked for"
    if not fitting:
        least = min(one.settled.memory.total for one in tried)
        return f"{size} takes {units.memory(least)} at the least"
    slow = max(fitting, key=lambda one: one.settled.speed.decode or 0)
    if slow.verdict == "too-slow":
        return against(candidates, slow, pick)
    return f"{pick.model.size.upper()} fits, and scores {pick.quality} to {fitting[0].quality}"


def _notes(candidates: Candidates, pick: Candidate) -> Iterator[str]:
    speed = pick.settled.speed
    if speed.decode is None:
        yield "The speed is unknown here; qwenpick bench measures it."
    elif speed.basis == "reference":
        yield "The speed is that of similar processors; qwenpick bench measures this one."
    yield from _below_four_bits(candidates, pick)
    if not pick.file.bytes_exact:
        yield "The size of this file is rounded; the hub gives the exact one when it is pulled."
    machine = candidates.question.machine
    if pick.settled.settings.gpu_layers and machine.engine.installed:
        usable = set(machine.engine.backends) - {"cpu"}
        if not usable:
            yield (
                "The engine here is built for the processor only; for the GPU: "
                "qwenpick engine install"
            )


def _below_four_bits(candidates: Candidates, pick: Candidate) -> Iterator[str]:
    """Say of a larger size that fits below 4 bits alone what it would be."""
    models = list(candidates.question.catalog.models)
    for model in models[models.index(pick.model) + 1 :]:
        fitting = [
            one
            for one in candidates.walk(lambda *_: True)
            if one.model is model and one.settled.fits
        ]
        if fitting and all(bits(one.file.quant) < FOUR_BITS for one in fitting):
            best = fitting[0]
            but = (
                f"its answers are not as good as {pick.name}'s"
                if best.quality < pick.quality
                else "that is for where nothing else fits"
            )
            yield f"{model.size.upper()} fits only below 4 bits, as {best.file.quant}: {but}."
            return
