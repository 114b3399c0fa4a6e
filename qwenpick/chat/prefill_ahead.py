"""Reading ahead: what the next prompt will begin with is read while the person reads and types.

The worker is the engine's only user between `start` and the end of `stop`.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

from qwenpick.engine.engine import StoppedError
from qwenpick.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Callable

    from qwenpick.chat.prefix_cache import PrefixCache
    from qwenpick.engine.chunks import Prompt


class PrefillAhead:
    """A thread that reads with *reader*, at most one at a time."""

    def __init__(self, reader: PrefixCache) -> None:
        self._reader = reader
        self._thread: threading.Thread | None = None

    def start(self, prompt: Callable[[], Prompt]) -> None:
        """Begin to read what *prompt* gives; it is called in the thread."""
        self.stop()
        self._reader.claim()
        self._thread = threading.Thread(
            target=self._read, args=(prompt,), name="reading ahead", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Stop within about 20 ms; what was read is kept up to its last checkpoint."""
        if self._thread:
            self._reader.engine.stop()
            self._thread.join()
            self._thread = None
            self._reader.engine.go_on()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until all is read; false where the time was too short."""
        if self._thread:
            self._thread.join(seconds)
            return not self._thread.is_alive()
        return True

    def _read(self, prompt: Callable[[], Prompt]) -> None:
        # the next turn reads what is missing, and says what is wrong if anything is
        with contextlib.suppress(StoppedError, RunError):
            self._reader.ahead(prompt())
