"""What the benchmarks measured: saved row by row, and written into a page between two marks."""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import to_builtins

from qwenpick.pick.request import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Row = TypeVar("Row", bound=Any)


def kept(rows: Iterable[Row], out: Path | None) -> Iterator[Row]:
    """Give *rows*, each written to *out* as JSON before the next is measured."""
    for row in rows:
        if out:
            with out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(to_builtins(row)) + "\n")
        yield row


def fill(page: Path, text: str, marks: tuple[str, str]) -> None:
    """Put *text* between the two marks of a page."""
    page.write_text(filled(page.read_text(encoding="utf-8"), text, marks), encoding="utf-8")


def filled(document: str, text: str, marks: tuple[str, str]) -> str:
    """Put *text* between a document's two marks."""
    start, end = marks
    before, rest = document.split(start)
    return f"{before}{start}\n{text}\n{end}{rest.split(end)[1]}"


def read_rows(path: Path, row: type[Row]) -> list[Row]:
    """Read what `--out` wrote, the settings of a load among it."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        values = json.loads(line)
        if "settings" in values:
            values["settings"] = Settings(**values["settings"])
        found.append(row(**values))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """One that measures named models, each by files that it writes into a folder."""

    plan: Iterable[str]
    """The models, where none is named."""
    row: type[Any]
    measure: Callable[[str, Path], Iterable[Any]]
    page: Callable[[list[Any]], Iterable[str]]
    marks: tuple[str, str]

    def run(self, about: str) -> None:
        """Measure what the command line asks for, or read what was measured, and print it."""
        options = argparse.ArgumentParser(description=about.splitlines()[0])
        options.add_argument("models", nargs="*", metavar="MODEL")
        options.add_argument("--out", type=Path)
        options.add_argument("--from", type=Path, dest="source")
        options.add_argument("--doc", type=Path)
        asked = options.parse_args()
        rows = read_rows(asked.source, self.row) if asked.source else []
        with tempfile.TemporaryDirectory() as folder:
            for model in [] if asked.source else asked.models or self.plan:
                rows += kept(self.measure(model, Path(folder)), asked.out)
        text = "\n".join(self.page(rows))
        print(text)
        if asked.doc:
            fill(asked.doc, text, self.marks)
