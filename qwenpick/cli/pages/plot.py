"""Memory against context for the sizes, with the budget as a line: `recommend --plot`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from qwenpick import units
from qwenpick.errors import UsageError
from qwenpick.pick.choose import Candidates
from qwenpick.pick.profile import of_catalog
from qwenpick.pick.request import Settings, ubatches

if TYPE_CHECKING:
    from pathlib import Path

    from qwenpick.pick.fit import PickInput

FORMATS = {".svg", ".png"}
CONTEXTS = [units.KIB << step for step in range(2, 9)]
"""4k to 256k."""
QUANT = "Q4_K_M"
"""The file that stands for a size where the question names none."""


def check(path: Path) -> None:
    """Refuse a file that can't be drawn, before anything is worked out.

    Raises:
        UsageError: The name ends in neither .svg nor .png, or its folder is not there.
    """
    if path.suffix.casefold() not in FORMATS:
        raise UsageError(f"{path} is neither .svg nor .png.", hint="Try --plot memory.svg")
    if not path.parent.is_dir():
        raise UsageError(f"There is no folder {path.parent}.", hint="Make it, or name another.")


def draw(question: PickInput, path: Path) -> None:
    """Draw the sum of each size over its context, with the budget across.

    Raises:
        UsageError: matplotlib is not installed; it is an extra.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise UsageError(
            "The plotting library is not installed.", hint='Run: pip install "qwenpick[plot]"'
        ) from None
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    wish = question.wish
    quant = wish.quant or QUANT
    cards = bool(question.budget.devices)
    ubatch = wish.ubatch or ubatches(repack=bool(wish.repack), cards=cards)[0]
    same = Candidates(replace(question, wish=replace(wish, quant=quant)))
    for model, file, _ in reversed(same.files):
        subject = of_catalog(model, file, vision=wish.vision)
        sums = [
            subject.memory(
                Settings(context=tokens, kv_type=wish.kv_type or "f16", ubatch=ubatch)
            ).total
            / units.GIB
            for tokens in CONTEXTS
        ]
        axes.plot(CONTEXTS, sums, marker="o", label=f"{model.size.upper()} {file.quant}")
    budget = question.budget.total
    axes.axhline(budget / units.GIB, color="black", linestyle="--")
    axes.annotate(
        f"budget, {units.memory(budget)}",
        (CONTEXTS[0], budget / units.GIB),
        textcoords="offset points",
        xytext=(0, 4),
    )
    axes.set_xscale("log", base=2)
    axes.set_xticks(CONTEXTS, [units.context(tokens) for tokens in CONTEXTS])
    axes.set(xlabel="context, tokens", ylabel="memory, GiB", ylim=(0, None))
    axes.set_title(f"Qwen3.5, KV cache in {wish.kv_type or 'f16'}")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path)
