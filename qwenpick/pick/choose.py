"""The choice: size and file by quality alone among those that fit and are fast enough.

Then the settings of that file (fit.py). The search goes down by quality and stops at
the first file that will do; what it did not need to look at, it does not look at.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from msgspec import Struct

from qwenpick.errors import UsageError
from qwenpick.pick.fit import LAST_CONTEXT, Fit, PickInput, Verdict, fit
from qwenpick.pick.profile import FOUR_BITS, bits, of_catalog
from qwenpick.pick.quality import quality

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from qwenpick.catalog.model import Model, WeightsFile
    from qwenpick.pick.request import Use

FLOORS: dict[Use, float] = {"chat": 7.0, "agent": 7.0, "mobile": 10.0, "iot": 10.0}
"""The minimum tokens per second for a use; others have none."""
LEGACY = {"Q4_0", "Q4_1"}
"""Older formats that are picked only where they are named: at the bits of Q4_K_S and Q4_K_M
they lose twice as much (llama.cpp, tools/quantize/quantize.cpp: +0.4685 and +0.4511 against
+0.2689 and +0.1754 of perplexity, Llama-3-8B), and the divergence table has no row for them."""
SIZES_FOR: dict[Use, tuple[tuple[str, ...], ...]] = {
    "agent": (("4b",), ()),
    "server": (("9b",), ()),
    "max-performance": (("9b",), ()),
    "mobile": (("2b",), ("0.8b",)),
    "iot": (("0.8b",),),
}
"""Sizes that a use takes, in turn; an empty group is every size."""


class Candidate(Struct, frozen=True, kw_only=True):
    """One file of one size, settled, and what is held for and against it."""

    model: Model
    file: WeightsFile
    quality: float
    settled: Fit
    verdict: Verdict

    @property
    def name(self) -> str:
        """Say which: `9B Q4_K_M`."""
        return f"{self.model.size.upper()} {self.file.quant}"

    @property
    def good(self) -> bool:
        """Whether it fits and is fast enough."""
        return self.verdict in {"fits", "tight"}


class Candidates:
    """Every file that the wish allows, best first, each settled when it is first asked for."""

    def __init__(self, question: PickInput) -> None:
        self.question = question
        self._settled: dict[tuple[str, str, bool], Candidate] = {}

    @property
    def floor(self) -> float | None:
        """Tokens per second that are asked for."""
        wish = self.question.wish
        return wish.min_speed if wish.min_speed is not None else FLOORS.get(wish.use)

    @cached_property
    def files(self) -> list[tuple[Model, WeightsFile, float]]:
        """Files by quality; ties go to the smaller, and to those whose bytes are exact."""
        wish, catalog = self.question.wish, self.question.catalog
        rows = [
            (model, file, quality(catalog, model, file, wish))
            for model in catalog.models
            if wish.size in {None, model.size} and (not wish.vision or model.projector)
            for file in model.files
            if wish.quant is None or file.quant.casefold() == wish.quant.casefold()
        ]
        if not rows:
            raise UsageError(
                f"The catalogue has no {wish.quant or 'file'} for {wish.size or 'any size'}"
                f"{' with vision' if wish.vision else ''}.",
                hint="See all files: qwenpick recommend --all",
            )
        return sorted(rows, key=lambda row: (-row[2], row[1].bytes, not row[1].bytes_exact))

    def asked(self, question: PickInput) -> Candidates:
        """Give the same files for a question with another budget or floor of speed."""
        again = Candidates(question)
        again.files = self.files
        return again

    def only(self, names: Collection[tuple[str, str]]) -> Candidates:
        """Give those files whose size and quantisation are among *names*."""
        some = Candidates(self.question)
        some.files = [row for row in self.files if (row[0].size, row[1].quant) in names]
        return some

    def of(self, model: Model, file: WeightsFile, score: float, *, last: bool = False) -> Candidate:
        """Settle a file, once."""
        key = (model.size, file.quant, last)
        if key not in self._settled:
            subject = of_catalog(model, file, vision=self.question.wish.vision)
            settled = fit(subject, self.question, last_resort=last)
            self._settled[key] = Candidate(
                model=model, file=file, quality=score, settled=settled, verdict=self._judge(settled)
            )
        return self._settled[key]

    def walk(
        self, allowed: Callable[[Model, WeightsFile], bool], *, last: bool = False
    ) -> Iterator[Candidate]:
        """Give the allowed ones, best first."""
        for model, file, score in self.files:
            if allowed(model, file):
                yield self.of(model, file, score, last=last)

    def _judge(self, settled: Fit) -> Verdict:
        if not settled.fits:
            return "too-big"
        demanded = self.question.wish.min_speed is not None
        if demanded and settled.speed.decode is None:
            return "too-slow"
        if not settled.speed.reaches(self.floor):
            return "too-slow"
        return "tight" if settled.tight else "fits"


def choose(candidates: Candidates) -> Candidate | None:
    """Pick the best, or None where nothing meets what was asked.

    In turn: files of 4 bits and more at 8k or more, the same at 4k, smaller files at 8k,
    smaller files at 4k. Where only a default floor of speed is in the way, the fastest
    that fits is better than nothing.
    """
    groups = (
        ((candidates.question.wish.size,),)
        if candidates.question.wish.size
        else SIZES_FOR.get(candidates.question.wish.use, ((),))
    )
    for number, sizes in enumerate(groups):
        named = candidates.question.wish.quant is not None
        tiers = _TIERS if number == len(groups) - 1 else _TIERS[:1]
        for enough_bits, last in tiers:
            for one in candidates.walk(
                _allow(sizes, enough_bits=enough_bits, named=named), last=last
            ):
                if one.good:
                    return one
    if candidates.question.wish.min_speed is None:
        return _fastest(candidates, {size for sizes in groups for size in sizes if all(groups)})
    return None


_TIERS = ((True, False), (True, True), (False, False), (False, True))
"""Whether files have 4 bits or more, and whether a context of 4k will do."""


def _allow(
    sizes: tuple[str | None, ...], *, enough_bits: bool, named: bool
) -> Callable[[Model, WeightsFile], bool]:
    return lambda model, file: (
        (not sizes or model.size in sizes)
        and (bits(file.quant) >= FOUR_BITS) == enough_bits
        and (named or file.quant not in LEGACY)
    )


def _fastest(candidates: Candidates, sizes: set[str | None]) -> Candidate | None:
    fitting = [
        one
        for one in candidates.walk(lambda model, _: not sizes or model.size in sizes)
        if one.settled.fits and bits(one.file.quant) >= FOUR_BITS
    ]
    return max(fitting, key=lambda one: one.settled.speed.decode or 0, default=None)


__all__ = ["FLOORS", "LAST_CONTEXT", "Candidate", "Candidates", "choose"]
