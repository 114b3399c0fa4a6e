"""Memory against context and quality against seconds, the pick marked: `recommend --plot`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qwenpick import units
from qwenpick.errors import UsageError
from qwenpick.pick.profile import FOUR_BITS, bits, of_catalog
from qwenpick.pick.request import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from qwenpick.pick.choose import Candidate
    from qwenpick.pick.recommendation import Recommendation

FORMATS = {".svg", ".png"}
CONTEXTS = [units.KIB << step for step in range(2, 9)]
"""4k to 256k."""


def check(path: Path) -> None:
    """Refuse a file that can't be drawn, before anything is worked out.

    Raises:
        UsageError: The name ends in neither .svg nor .png, or its folder is not there.
    """
    if path.suffix.casefold() not in FORMATS:
        raise UsageError(f"{path} is neither .svg nor .png.", hint="Try --plot memory.svg")
    if not path.parent.is_dir():
        raise UsageError(f"There is no folder {path.parent}.", hint="Make it, or name another.")


def draw(answer: Recommendation, path: Path) -> None:
    """Draw both, of an answer with every file.

    Raises:
        UsageError: matplotlib is not installed; it is an extra.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise UsageError(
            "The plotting library is not installed.", hint='Run: pip install "qwenpick[plot]"'
        ) from None
    figure = Figure(figsize=(12, 5), layout="constrained")
    left, right = figure.subplots(1, 2)
    _memory(left, answer)
    _quality(right, answer)
    figure.suptitle(f"Qwen3.5 for {answer.wish.use}: {answer.pick.name}")
    figure.savefig(path)


def _every(answer: Recommendation) -> list[Candidate]:
    return [answer.pick, *(other.candidate for other in answer.others)]


def _memory(axes: Any, answer: Recommendation) -> None:  # noqa: ANN401 - matplotlib ships no types
    """Draw the sum of each size's best file over its context, with the budget across."""
    best: dict[str, Candidate] = {}
    for one in _every(answer):
        best.setdefault(one.model.size, one)
    for size, one in sorted(best.items(), key=lambda item: item[1].file.bytes, reverse=True):
        settings = one.settled.settings
        profile = of_catalog(one.model, one.file, vision=answer.wish.vision)
        sums = [
            profile.memory(
                Settings(
                    context=tokens,
                    users=settings.users,
                    kv_type=settings.kv_type,
                    ubatch=settings.ubatch,
                )
            ).total
            / units.GIB
            for tokens in CONTEXTS
        ]
        axes.plot(CONTEXTS, sums, marker="o", label=f"{size.upper()} {one.file.quant}")
    pick = answer.pick.settled
    axes.plot(
        [pick.settings.context], [pick.memory.total / units.GIB], "k*", markersize=15, label="pick"
    )
    budget = answer.budget.total / units.GIB
    axes.axhline(budget, color="black", linestyle="--")
    axes.annotate(
        f"available, {units.memory(answer.budget.total)}",
        (CONTEXTS[0], budget),
        textcoords="offset points",
        xytext=(0, 4),
    )
    axes.set_xscale("log", base=2)
    axes.set_xticks(CONTEXTS, [units.context(tokens) for tokens in CONTEXTS])
    axes.set(xlabel="context, tokens", ylabel="memory, GiB", ylim=(0, None), title="Memory")
    axes.grid(alpha=0.3)
    axes.legend()


def _quality(axes: Any, answer: Recommendation) -> None:  # noqa: ANN401 - matplotlib ships no types
    """Draw each file that fits as a point, seconds to an answer across, the score up."""
    for size in dict.fromkeys(one.model.size for one in _every(answer)):
        of_size = [
            one
            for one in _every(answer)
            if one.model.size == size and one.settled.fits and bits(one.file.quant) >= FOUR_BITS
        ]
        of_size.sort(key=lambda one: one.seconds)
        axes.plot(
            [one.seconds for one in of_size],
            [one.quality.score for one in of_size],
            marker=".",
            label=size.upper(),
        )
    pick = answer.pick
    axes.plot([pick.seconds], [pick.quality.score], "k*", markersize=15, label=pick.name)
    axes.axvline(answer.patience, color="black", linestyle="--")
    axes.set_xscale("log")
    axes.set(
        xlabel="seconds to an answer",
        ylabel=f"score, {pick.quality.benchmark}",
        title="Quality; dashed: the patience",
    )
    axes.grid(alpha=0.3)
    axes.legend()
