"""What the benchmarks measured: kept as it comes, and put into a page between two marks."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

Row = TypeVar("Row", bound=Any)


def kept(rows: Iterable[Row], out: Path | None) -> Iterator[Row]:
    """Give *rows*, each written to *out* as JSON before the next is measured."""
    for row in rows:
        if out:
            with out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(row)) + "\n")
        yield row


def fill(page: Path, text: str, marks: tuple[str, str]) -> None:
    """Put *text* between the two marks of a page."""
    page.write_text(filled(page.read_text(encoding="utf-8"), text, marks), encoding="utf-8")


def filled(document: str, text: str, marks: tuple[str, str]) -> str:
    """Put *text* between a document's two marks."""
    start, end = marks
    before, rest = document.split(start)
    return f"{before}{start}\n{text}\n{end}{rest.split(end)[1]}"
