"""How often and how long a pull waits for a line that fails, and what it says meanwhile."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

from qwenpick.pull.failures import LineError

if TYPE_CHECKING:
    from collections.abc import Callable

    from qwenpick.pull.plan import Watcher

Result = TypeVar("Result")

WAITS = (1.0, 2.0, 4.0, 8.0)
"""Seconds before each further try, where the hub names none."""
LONGEST_WAIT = 120.0
"""Seconds of a Retry-After beyond which we say so and end."""


class Patience:
    """Counts the tries that brought nothing, and waits before the next one."""

    def __init__(self, watch: Watcher) -> None:
        self._watch = watch
        self._tries = 0

    def renew(self) -> None:
        """Begin to count anew: bytes came."""
        self._tries = 0

    def wait(self, error: LineError) -> None:
        """Wait as long as the hub asks, else longer from try to try.

        Raises:
            LineError: Another try won't help, or would be too long in coming.
        """
        if self._tries >= min(error.retries, len(WAITS)):
            raise error
        seconds = WAITS[self._tries] if error.wait is None else error.wait
        if seconds > LONGEST_WAIT:
            raise error
        self._tries += 1
        when = f" in {seconds:.0f} s" if seconds else ""
        self._watch.say(f"{error.message} Trying again{when}.")
        time.sleep(seconds)


def patiently(attempt: Callable[[], Result], watch: Watcher) -> Result:
    """Try again while the failure is one that passes, and say so."""
    patience = Patience(watch)
    while True:
        try:
            return attempt()
        except LineError as error:
            patience.wait(error)
