"""How often and how long a pull waits for a line that fails, and what it says meanwhile."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

from qwenpick.pull.failures import HubError

if TYPE_CHECKING:
    from collections.abc import Callable

    from qwenpick.pull.plan import Progress

Result = TypeVar("Result")

WAITS = (1.0, 2.0, 4.0, 8.0)
"""Seconds before each further try, where the hub names none."""
LONGEST_WAIT = 120.0
"""Seconds of a Retry-After beyond which we say so and end."""


class Backoff:
    """Counts the tries that brought nothing, and waits before the next one."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tries = 0

    def reset(self) -> None:
        """Begin to count anew: bytes came."""
        self._tries = 0

    def wait(self, error: HubError) -> None:
        """Wait as long as the hub asks, else longer from try to try.

        Raises:
            HubError: Another try won't help, or would be too long in coming.
        """
        if self._tries >= min(error.retries, len(WAITS)):
            raise error
        seconds = WAITS[self._tries] if error.wait is None else error.wait
        if seconds > LONGEST_WAIT:
            raise error
        self._tries += 1
        when = f" in {seconds:.0f} s" if seconds else ""
        self._progress.status(f"{error.message} Trying again{when}.")
        time.sleep(seconds)


def with_retries(attempt: Callable[[], Result], progress: Progress) -> Result:
    """Try again while the failure is one that passes, and say so."""
    backoff = Backoff(progress)
    while True:
        try:
            return attempt()
        except HubError as error:
            backoff.wait(error)
