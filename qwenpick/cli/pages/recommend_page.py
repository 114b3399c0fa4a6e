"""The pages of `recommend` and `guide`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qwenpick import units
from qwenpick.cli import render
from qwenpick.cli.pages import recommend_words as words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qwenpick.pick.choose import Candidate
    from qwenpick.pick.memory import MemorySum
    from qwenpick.pick.recommendation import Recommendation
    from qwenpick.pick.speed import Speed

BAR = 22
MARGIN = " " * 9
BASES = {"measured": "measured", "bandwidth": "estimate", "reference": "estimate"}
WIDTHS = {
    "UD-Q2_K_XL": "--q2", "Q3_K_M": "--q3", "Q4_K_M": "--q4", "Q5_K_M": "--q5",
    "Q6_K": "--q6", "Q8_0": "--q8", "BF16": "--bf16",
}  # fmt: skip


def recommendation(answer: Recommendation, *, everything: bool) -> None:
    """Show a pick: what, why, beside what, and what to type next."""
    out = render.console()
    pick = answer.pick
    out.print(f"{pick.model.name}  {pick.file.quant}", style="bold")
    render.pairs(out, [("", facts(answer))], indent=0)
    out.print()
    render.pairs(out, _words(answer))
    out.print()
    _bars(answer, everything=everything)
    out.print()
    flag = WIDTHS.get(pick.file.quant, f"--quant {pick.file.quant}")
    render.pairs(
        out,
        [("Next", f"qwenpick pull {pick.model.size} {flag}"), ("", "qwenpick chat")],
    )


def facts(answer: Recommendation) -> str:
    """Say what a pick takes and gives: bytes to download, memory, speed, context."""
    file, settled = answer.pick.file, answer.pick.settled
    parts = [
        f"{units.download(file.bytes)} to download",
        _used(answer),
        *([f"about {units.rate(settled.speed.decode)} tokens/s"] if settled.speed.decode else []),
        f"{units.context(settled.settings.context)} context",
    ]
    return ", ".join(parts)


def _on_cards(answer: Recommendation) -> bool:
    """Say whether the whole model lies on cards with memory of their own."""
    layers = answer.pick.model.architecture.layers
    return bool(answer.budget.on_cards) and answer.pick.settled.settings.gpu_layers > layers


def _used(answer: Recommendation) -> str:
    memory = answer.pick.settled.memory
    if not _on_cards(answer):
        return f"{units.memory(memory.total)} of {units.memory(answer.budget.total)}"
    used = sum(size for _, size in memory.devices)
    return f"{units.memory(used)} of {units.memory(answer.budget.on_cards)} of VRAM"


def _words(answer: Recommendation) -> Iterator[tuple[str, str]]:
    yield "Why", words.reason(answer) + "."
    row = answer.guide.row
    guide = f"{row.requirement}: {' or '.join(map(str.upper, row.sizes))}."
    if note := words.guide_note(answer):
        guide += f" Not followed: {note}."
    yield "Guide", guide
    if answer.pick.settled.degradations:
        given_up = ", ".join(words.degradations(answer.pick))
        yield "But", given_up[0].upper() + given_up[1:] + "."
    if answer.what_if:
        yield "If", "; ".join(words.what_if(answer, one) for one in answer.what_if) + "."
    for number, note in enumerate(words.remarks(answer)):
        yield "" if number else "Note", note


def _bars(answer: Recommendation, *, everything: bool) -> None:
    out = render.console()
    budget = answer.budget.on_cards if _on_cards(answer) else answer.budget.total
    rows = sorted(
        [answer.pick, *(other.candidate for other in answer.others)],
        key=lambda one: (one.model.architecture.text_params, one.file.bytes),
    )
    widest = max(len(one.file.quant) for one in rows)
    out.print(
        f"{MARGIN}{'':<{widest}}  weights #  cache =  rest -   of {units.memory(budget)}",
        style="dim",
    )
    for one in rows:
        chosen = one is answer.pick
        line = (
            f"  {'>' if chosen else ' '} {one.model.size.upper():<5}{one.file.quant:<{widest}}  "
            f"{_bar(one.settled.memory, budget):<{BAR}}  "
            f"{units.memory(one.settled.memory.total):>8}  {_rate(one)}"
        )
        out.print(line.rstrip(), style="bold" if chosen else None)
    if not everything:
        out.print(f"{MARGIN}every file: qwenpick recommend --all", style="dim")


def _bar(memory: MemorySum, budget: int) -> str:
    cache = memory.kv_cache + memory.recurrent_state
    rest = memory.total - memory.weights - memory.repack - cache
    parts = [("#", memory.weights + memory.repack), ("=", cache), ("-", rest)]
    return render.bar(parts, budget, BAR)


def _rate(one: Candidate) -> str:
    if one.verdict == "too-big":
        return "too big"
    return _speed(one.settled.speed) + (", slow" if one.verdict == "too-slow" else "")


def _speed(speed: Speed) -> str:
    if speed.decode is None:
        return "speed unknown"
    return f"{units.rate(speed.decode):>3} tok/s, {BASES[speed.basis]}"
