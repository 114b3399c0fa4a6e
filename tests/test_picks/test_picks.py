"""The picks of many machines, one line each, for a person to read and object to.

`python tests/test_picks/test_picks.py` writes picks.txt anew; read its diff.
"""

from __future__ import annotations

from itertools import product
from pathlib import Path

from qwenpick import units
from qwenpick.catalog.table import load
from qwenpick.cli.pages.recommend_words import budget
from qwenpick.hardware.probe import from_file
from qwenpick.pick.budget import budget_of
from qwenpick.pick.choose import Candidates, choose
from qwenpick.pick.fit import PickInput
from qwenpick.pick.request import USES, Request

MACHINES = Path(__file__).parent.parent / "machines"
PICKS = Path(__file__).with_name("picks.txt")
CONTEXTS = (None, 8192, 131_072)


def lines() -> list[str]:
    """Give a line for each machine, use and context."""
    catalog = load()
    written = []
    for file in sorted(MACHINES.glob("*.json")):
        machine = from_file(file)
        for use, context in product(USES, CONTEXTS):
            wish = Request(use=use, context=context)
            question = PickInput(
                catalog=catalog, machine=machine, wish=wish, budget=budget_of(machine)
            )
            found = choose(Candidates(question))
            asked = f"{file.stem:<24}{use:<16}{units.context(context) if context else '-':<5}"
            if found is None:
                written.append(f"{asked} nothing fits {budget(question.budget)}")
                continue
            settled = found.settled
            settings, speed = settled.settings, settled.speed
            rate = f"{units.rate(speed.decode)} tok/s" if speed.decode else "unknown speed"
            written.append(
                f"{asked} {found.name:<16}{units.context(settings.context):<5}{settings.kv_type:<5}"
                f"{units.memory(settled.memory.total):>8} of {budget(question.budget)}, "
                f"{settings.gpu_layers} layers on GPU, {rate}"
            )
    return written


def test_the_picks_are_those_that_were_reviewed() -> None:
    assert len(lines()) >= 16 * 6 * 3
    assert lines() == PICKS.read_text(encoding="utf-8").splitlines()


if __name__ == "__main__":
    PICKS.write_text("\n".join(lines()) + "\n", encoding="utf-8")
