"""The whole contact that `app/` has with a person; a terminal, a server and a test implement it."""

from __future__ import annotations

from typing import Protocol


class Ui(Protocol):
    """Tells a person what happens, and asks; a `pull.plan.Progress`, too."""

    def status(self, line: str) -> None:
        """Take a line of progress, a note or a warning."""

    def progress(self, name: str, done: int, total: int) -> None:
        """Take how many of *total* bytes of a file are downloaded, read or loaded."""

    def confirm(self, question: str, *, default: bool = True) -> bool:
        """Ask a yes-or-no question.

        Args:
            question: One sentence, with its question mark.
            default: The answer of somebody who only presses Enter.

        Raises:
            UsageError: There is nobody to ask.
        """
