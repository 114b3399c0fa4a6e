"""The choice: the file whose answers are worth most once the wait for them is counted.

    value   = score x exp(-D) / (1 + (seconds / patience)^2)
    seconds = prompt / read rate + answer / write rate      (and the thought, for a use that thinks)

`choose` says among which files, and what gives way first; docs/guide.md explains it in a page.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from qwenpick.errors import UsageError
from qwenpick.pick.fit import Fit, PickInput, Step, Verdict, fit, fit_at, steps
from qwenpick.pick.profile import FOUR_BITS, bits, of_catalog
from qwenpick.pick.quality import Quality, quality

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from qwenpick.catalog.model import Model, WeightsFile
    from qwenpick.pick.profile import ModelProfile
    from qwenpick.pick.speed import Speed

WORTHWHILE = ("4b", "9b")
"""Where one of these lies on a card whole, no layer is left to the processor."""


class Candidate(Struct, frozen=True, kw_only=True):
    """One file of one size, with its settings, and what its answers are worth."""

    model: Model
    file: WeightsFile
    quality: Quality
    settled: Fit
    seconds: float
    """To a whole answer: its prompt is read, its answer written; with the thought only for a use
    that always thinks."""
    answer_seconds: float
    """The same without a thought."""
    thought_seconds: float
    """How long a thought takes before the answer; 0 for a use without."""
    value: float
    verdict: Verdict

    @property
    def name(self) -> str:
        """Say which: `9B Q4_K_M`."""
        return f"{self.model.size.upper()} {self.file.quant}"


class Entry(Struct, frozen=True, kw_only=True):
    """A file of the catalogue that may be picked, and what is known of it before it is placed."""

    model: Model
    file: WeightsFile
    profile: ModelProfile
    quality: Quality

    @property
    def name(self) -> str:
        """Say which: `9B Q4_K_M`."""
        return f"{self.model.size.upper()} {self.file.quant}"


class Candidates:
    """Every file that the request allows, each settled when it is first asked for."""

    def __init__(self, question: PickInput) -> None:
        self.question = question
        self._best: dict[tuple[str, str], Candidate] = {}

    @cached_property
    def patience(self) -> float:
        """Seconds after which an answer is worth half."""
        return self.question.wish.patience or self.question.use.patience

    @cached_property
    def entries(self) -> list[Entry]:
        """Files by size, then by bytes.

        Raises:
            UsageError: The request allows none.
        """
        wish, catalog = self.question.wish, self.question.catalog
        found = [
            Entry(
                model=model,
                file=file,
                profile=of_catalog(model, file, vision=wish.vision),
                quality=quality(catalog, model, file, wish),
            )
            for model in catalog.models
            if wish.size in {None, model.size} and (not wish.vision or model.projector)
            for file in sorted(model.files, key=lambda file: file.bytes)
            if wish.quant is None or file.quant.casefold() == wish.quant.casefold()
        ]
        if not found:
            raise UsageError(
                f"The catalogue has no {wish.quant or 'file'} for {wish.size or 'any size'}"
                f"{' with vision' if wish.vision else ''}.",
                hint="See all files: qwenpick recommend --all",
            )
        return found

    @cached_property
    def usual(self) -> list[Entry]:
        """Files that are picked without being named, as far as there are any."""
        return [one for one in self.entries if _usual(self.question, one)]

    def asked(self, question: PickInput) -> Candidates:
        """Give the same files for a question with another budget, patience or floor of speed."""
        again = Candidates(question)
        again.entries = self.entries
        return again

    def only(self, names: Collection[tuple[str, str]]) -> Candidates:
        """Give those files whose size and quantisation are among *names*."""
        some = Candidates(self.question)
        some.entries = [one for one in self.entries if (one.model.size, one.file.quant) in names]
        return some

    def every(self) -> Iterator[Candidate]:
        """Give each file with its best settings."""
        return (self.of(entry) for entry in self.entries)

    def named(self, name: str) -> Candidate:
        """Give a file by its name, with its best settings."""
        return next(self.of(one) for one in self.entries if one.name == name)

    def of(self, entry: Entry) -> Candidate:
        """Give a file with its best settings, whatever gives way; worked out once."""
        key = (entry.model.size, entry.file.quant)
        if key not in self._best:
            self._best[key] = self.judged(entry, fit(entry.profile, self.question))
        return self._best[key]

    def judged(self, entry: Entry, settled: Fit) -> Candidate:
        """Say what a settled file's answers are worth."""
        use, wish = self.question.use, self.question.wish
        thought = use.thought / settled.speed.decode
        thinks = use.thinks if wish.thinking is None else use.thinks and wish.thinking
        answer = seconds_to_answer(use.prompt, use.answer, settled.speed)
        seconds = answer + (thought if thinks else 0.0)
        thinking = self._thinks(entry, thought) if wish.thinking is None else wish.thinking
        settings = replace(settled.settings, thinking=thinking)
        return Candidate(
            model=entry.model,
            file=entry.file,
            quality=entry.quality,
            settled=replace(settled, settings=settings),
            seconds=seconds,
            answer_seconds=answer,
            thought_seconds=thought,
            value=value(entry.quality.score, seconds, self.patience),
            verdict=self._verdict(settled, seconds),
        )

    def _thinks(self, entry: Entry, thought: float) -> bool:
        rules = self.question.catalog.rules
        if entry.model.size not in rules.thinkers or not self.question.use.thought:
            return False
        return self.question.use.thinks or thought <= rules.longest_thought

    def _verdict(self, settled: Fit, seconds: float) -> Verdict:
        if not settled.fits:
            return "too-big"
        if not self.fast_enough(settled) or seconds > self.patience:
            return "too-slow"
        return "tight" if settled.tight else "fits"

    def surely(self, one: Candidate) -> float:
        """Give the seconds within which an answer comes, though its estimate may be off."""
        known = one.settled.speed.basis in {"measured", "bandwidth"}
        return one.seconds * (1.0 if known else self.question.catalog.rules.doubt)

    def fast_enough(self, settled: Fit) -> bool:
        """Say whether a file reaches the floor of speed that was asked for."""
        return settled.speed.decode >= (self.question.wish.min_speed or 0.0)


def value(score: float, seconds: float, patience: float) -> float:
    """Say what an answer is worth, in points of 100: half its score once patience has run out."""
    return score / (1 + (seconds / patience) ** 2)


def seconds_to_answer(prompt: int, answer: int, speed: Speed) -> float:
    """Give the seconds from a question to its whole answer, of so many tokens."""
    return prompt / speed.prompt + answer / speed.decode


def choose(candidates: Candidates) -> Candidate | None:
    """Pick the file whose answers are worth most, or None where nothing meets what was asked.

    It is chosen by the steady part of the memory, so that it stays the same whatever else runs, and
    gets the context that fits now. The guide's sizes come first where one of them answers within
    the patience. Where nothing fits the steady part, as little as possible is given up; files
    below 4 bits are taken only where nothing else fits.
    """
    question = candidates.question
    usual = candidates.usual
    for sizes in () if question.wish.size else question.use.sizes:
        of_guide = [one for one in usual if one.model.size in sizes]
        best = _steadily(candidates, of_guide)
        if best and candidates.surely(best) <= candidates.patience:
            return best
    if best := _steadily(candidates, usual):
        return best
    four_bits = [one for one in candidates.entries if bits(one.file.quant) >= FOUR_BITS]
    for entries in (usual, four_bits, candidates.entries):
        for step in _allowed_steps(candidates, entries):
            if found := list(_at(candidates, entries, step)):
                return _most_worth(found, question.catalog.rules.tie)
    return None


def _steadily(candidates: Candidates, entries: list[Entry]) -> Candidate | None:
    """Take what is worth most of what fits the steady part of the memory at a usual context."""
    question = candidates.question
    steady = candidates.asked(replace(question, budget=question.budget.lasting))
    split = any(step.split for step in _allowed_steps(candidates, entries))
    first = replace(next(steps(question)), free=0.0, split=split)
    found = list(_at(steady, entries, first))
    if not found:
        return None
    return candidates.named(_most_worth(found, question.catalog.rules.tie).name)


def _usual(question: PickInput, entry: Entry) -> bool:
    """Leave out what is picked by name only, and where no card is known, what is slow there.

    Decoding IQ4 on a processor takes longer than its bytes say.
    """
    if question.wish.quant is not None:
        return True
    quant = entry.file.quant
    cards = [question.machine.gpus[one.index] for one in question.budget.devices]
    card = any(not gpu.unified or gpu.bandwidth_bytes_per_second for gpu in cards)
    return quant in question.catalog.rules.files and (card or "IQ" not in quant)


def _allowed_steps(candidates: Candidates, entries: list[Entry]) -> list[Step]:
    """Give the steps; without those that leave layers to the processor where a card is enough."""
    every = list(steps(candidates.question))
    whole = [step for step in every if not step.split]
    asked = candidates.question.wish.size
    for entry in entries:
        if entry.model.size in WORTHWHILE or entry.model.size == asked:
            for step in whole:
                if any(_placed(candidates, entry, step)):
                    return whole
    return every


def _at(candidates: Candidates, entries: list[Entry], step: Step) -> Iterator[Candidate]:
    """Give each size's files at the longest context that one of them fits at."""
    for size in dict.fromkeys(entry.model.size for entry in entries):
        of_size = [entry for entry in entries if entry.model.size == size]
        for context in step.contexts:
            found = [
                candidates.judged(entry, settled)
                for entry in of_size
                if (settled := fit_at(entry.profile, candidates.question, context, step))
                and candidates.fast_enough(settled)
            ]
            if found:
                yield from found
                break


def _placed(candidates: Candidates, entry: Entry, step: Step) -> Iterator[bool]:
    for context in step.contexts:
        yield fit_at(entry.profile, candidates.question, context, step) is not None


def _most_worth(found: Iterable[Candidate], tie: float) -> Candidate:
    """Take the file of the highest value; within a tie the smaller."""
    found = list(found)
    highest = max(one.value for one in found)
    return min(
        (one for one in found if one.value >= highest - tie),
        key=lambda one: (one.file.bytes, not one.file.bytes_exact),
    )
