"""The page of `recommend`, for 40 columns and more."""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from typing import TYPE_CHECKING

from msgspec import Struct

from qwenpick import units
from qwenpick.cli import render
from qwenpick.cli.pages import recommend_words as words

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from qwenpick.hardware.machine import Gpu, Machine
    from qwenpick.pick.choose import Candidate
    from qwenpick.pick.recommendation import Recommendation

WIDE = 80
"""Columns from which on a way is one line, with a bar for its seconds."""
LABEL = 8
BAR = (7, 40)
"""The shortest and the longest bar."""
FIXED = 73
"""Columns of a way's line beside its bar."""
_UNITS = re.compile(r"(?<=\d) (?=[A-Za-z])")
"""Between a number and its unit no line ends."""
STYLES = {"faster": "cyan", "pick": "bold", "better": "magenta"}
BASES = {"measured": "measured", "bandwidth": "estimated", "reference": "estimated"}


class Line(Struct, frozen=True):
    """A line of the page, and how it looks on a terminal."""

    text: str
    style: str = ""


def recommendation(
    answer: Recommendation, *, everything: bool, installed: Collection[tuple[str, str]] = ()
) -> None:
    """Show a pick: what, what it costs, what is faster and better, what to type next.

    Args:
        answer: What was found.
        everything: Whether all files are shown, in place of up to three.
        installed: Size and quantisation of the catalogue's files that are on this disk.
    """
    out = render.console()
    for line in lines(answer, out.width, everything=everything, installed=installed):
        out.print(line.text, style=line.style or None, soft_wrap=True)


def lines(
    answer: Recommendation,
    width: int,
    *,
    everything: bool = False,
    installed: Collection[tuple[str, str]] = (),
) -> Iterator[Line]:
    """Give the page's lines, none longer than *width*."""
    yield from _wrapped(machine(answer.machine), width, style="dim")
    yield Line("")
    yield from _run(answer, width, installed)
    yield Line("")
    if everything:
        yield from _all(answer, width, installed)
    else:
        yield from _ways(answer, width, installed)
    yield Line("")
    for sentence in _sentences(answer):
        yield from _wrapped(sentence, width, indent=2)
    yield Line("")
    more = [] if everything else ["All files: qwenpick recommend --all"]
    more.append("Measure this machine: qwenpick bench")
    together = "      ".join(more)
    for text in [together] if len(together) + 2 <= width else more:
        yield from _wrapped(text, width, indent=2, style="dim")


def machine(found: Machine) -> str:
    """Say what a machine is: processor, cores, GPUs, free memory."""
    cpu, free = found.cpu, units.memory(found.memory.available)
    cores = f"{cpu.usable_threads} core{'s' if cpu.usable_threads != 1 else ''}"
    parts = [cpu.name or found.arch, cores]
    names = Counter(gpu.name for gpu in found.gpus)
    parts += [_gpu([gpu for gpu in found.gpus if gpu.name == name]) for name in names]
    parts = [*dict.fromkeys(parts), *([] if found.gpus else ["no GPU"])]
    return ", ".join([*parts, f"{free} of memory free"])


def _gpu(alike: list[Gpu]) -> str:
    """Name GPUs of one name, with the memory that is free on them."""
    name = alike[0].name if len(alike) == 1 else f"{len(alike)}x {alike[0].name}"
    free = sum(gpu.free or 0 for gpu in alike if not gpu.unified)
    return f"{name} ({units.memory(free)} of VRAM free)" if free else name


def _run(
    answer: Recommendation, width: int, installed: Collection[tuple[str, str]]
) -> Iterator[Line]:
    """Say what to run, what it costs and what it leaves free."""
    pick = answer.pick
    settings = pick.settled.settings
    thinking = "on" if settings.thinking else "off"
    title = f"{pick.model.name} {pick.file.quant}, thinking {thinking}"
    command = f"qwenpick {'serve' if answer.wish.use == 'server' else 'chat'}"
    room = width - 2 - LABEL - len(title) - len(command)
    if room >= 2:  # noqa: PLR2004 - a gap between two texts
        yield Line(f"  {'Run':<{LABEL}}{title}{' ' * min(room, 24)}{command}", "bold")
    else:
        yield from _wrapped(title, width, label="Run", style="bold")
        yield from _wrapped(command, width, label=" ")
    yield from _wrapped(_time(answer), width, label=" ")
    here = _here(pick, installed)
    users = f" for each of {settings.users} users" if settings.users > 1 else ""
    last = "downloaded already" if here else f"{units.download(pick.file.bytes)} to download"
    context = f"{units.context(settings.context)} context{users}"
    yield from _wrapped(f"{_memory(answer)}; {context}; {last}", width, label=" ")


def _time(answer: Recommendation) -> str:
    """Say when an answer is there, at what speed, and what a thought adds."""
    pick = answer.pick
    speed = pick.settled.speed
    basis = BASES.get(speed.basis, "a guess")
    each = " for each user" if answer.wish.users > 1 else ""
    text = (
        f"an answer in {words.about(pick.answer_seconds)} "
        f"({words.rate(pick)} tokens/s{each}, {basis})"
    )
    if not pick.thought_seconds:
        return text
    thought = words.duration(pick.thought_seconds)
    if pick.settled.settings.thinking:
        return f"{text}, after a thought of {thought}"
    if not answer.thinker:
        return text
    return f"{text}; a thought would take {thought} more"


def _memory(answer: Recommendation) -> str:
    """Say what the pick takes and leaves free: VRAM and RAM apart."""
    memory, budget = answer.pick.settled.memory, answer.budget
    if not budget.on_cards:
        free = budget.host - memory.total
        return f"{units.memory(memory.total)} of memory, {_free(free)} free"
    used = sum(size for _, size in memory.devices)
    return (
        f"{units.memory(used)} of VRAM, {_free(budget.on_cards - used)} free; "
        f"{units.memory(memory.host)} of RAM"
    )


def _free(size: int) -> str:
    said = f"{size / units.GIB:.0f} GiB" if size >= 10 * units.GIB else units.memory(size)
    return f"{said} {'stays' if said.startswith('1 ') else 'stay'}"


def _ways(
    answer: Recommendation, width: int, installed: Collection[tuple[str, str]]
) -> Iterator[Line]:
    """Show what is faster, the pick, and what answers better."""
    ways = [("faster", answer.faster), ("pick", answer.pick), ("better", answer.better)]
    shown = [(role, one) for role, one in ways if one is not None]
    longest = max(one.seconds for _, one in shown)
    if width >= WIDE:
        room = min(max(width - FIXED, BAR[0]), BAR[1])
        kind = "VRAM" if answer.budget.on_cards else "memory"
        yield Line(f"{'':24}answer in{'':{room + 2}} tokens/s  quality {kind:>9}  download", "dim")
        for role, one in shown:
            bar = "=" * max(round(room * one.seconds / longest), 1)
            yield Line(
                f"{_way(answer, role, one, bar, room)}{_download(one, installed):>10}", STYLES[role]
            )
        return
    for role, one in shown:
        mark = ">" if role == "pick" else " "
        yield from _wrapped(f"{mark} {role}: {one.name}", width, indent=0, style=STYLES[role])
        text = (
            f"{words.duration(one.seconds)}, {words.rate(one)} tokens/s, "
            f"quality {one.quality.score:.0f}, {units.memory(_used(answer, one))}, "
            f"{_download(one, installed)}"
        )
        yield from _wrapped(text, width, indent=4)


def _way(answer: Recommendation, role: str, one: Candidate, bar: str, room: int) -> str:
    mark = ">" if role == "pick" else " "
    return (
        f"{mark} {role:<8}{one.name:<14}{words.duration(one.seconds):>9}  {bar:<{room}} "
        f"{words.rate(one):>8}  {one.quality.score:>7.0f} "
        f"{units.memory(_used(answer, one)):>9}"
    )


def _all(
    answer: Recommendation, width: int, installed: Collection[tuple[str, str]]
) -> Iterator[Line]:
    """Show every file by what it is worth, the pick marked."""
    rows = [(answer.pick, "the pick")]
    rows += [(other.candidate, other.candidate.verdict) for other in answer.others]
    rows.sort(key=lambda row: (row[1] == "too-big", -row[0].value))
    yield Line(
        f"  {'file':<17}{'worth':>6} {'score':>6}  {'answer in':>9}  {'download':>8}  verdict",
        "dim",
    )
    for one, verdict in rows:
        mark = ">" if one is answer.pick else " "
        text = (
            f"{mark} {one.name:<17}{one.value:>6.1f} {one.quality.score:>6.1f}  "
            f"{words.duration(one.seconds):>9}  {_download(one, installed):>8}  "
            f"{verdict.replace('-', ' ')}"
        )
        short = f"{mark} {one.name:<17}{one.value:>6.1f}  {verdict.replace('-', ' ')}"
        yield Line(
            text if len(text) <= width else short[:width], "bold" if one is answer.pick else ""
        )


def _sentences(answer: Recommendation) -> Iterator[str]:
    """Say why, what gave way, what the guide says, what would change it, what is unsure."""
    if answer.reason != "worth":
        yield words.reason(answer) + "."
    if given_up := ", ".join(words.degradations(answer.pick)):
        yield given_up[0].upper() + given_up[1:] + "."
    says = f"Qwen's guide says {words.guide_row(answer.guide.row)}"
    note = words.guide_note(answer)
    yield f"{says}; {note}." if note else f"{says}, as here."
    if answer.what_if:
        said = "; ".join(words.what_if(answer, one) for one in answer.what_if)
        yield said[0].upper() + said[1:] + "."
    yield from words.remarks(answer)


def _used(answer: Recommendation, one: Candidate) -> int:
    """Give a file's memory: of the cards where there are cards, else all of it."""
    memory = one.settled.memory
    return sum(size for _, size in memory.devices) if answer.budget.on_cards else memory.total


def _download(one: Candidate, installed: Collection[tuple[str, str]]) -> str:
    return "here" if _here(one, installed) else units.download(one.file.bytes)


def _here(one: Candidate, installed: Collection[tuple[str, str]]) -> bool:
    return (one.model.size, one.file.quant) in installed


def _wrapped(
    text: str, width: int, *, indent: int = 0, label: str = "", style: str = ""
) -> Iterator[Line]:
    """Wrap a text under itself, behind a label where there is one."""
    before = f"  {label.strip():<{LABEL}}" if label else " " * indent
    kept = _UNITS.sub("\N{NO-BREAK SPACE}", text)
    wrapped = textwrap.wrap(kept, max(width - len(before), 16), break_long_words=False)
    for number, part in enumerate(wrapped):
        margin = " " * len(before) if number else before
        yield Line(margin + part.replace("\N{NO-BREAK SPACE}", " "), style)
