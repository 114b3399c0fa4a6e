"""What llama.cpp logs while it loads: its buffers, and why it failed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from qwenpick.units import MIB

if TYPE_CHECKING:
    from collections.abc import Iterator

_BUFFER = re.compile(r"(\S+)\s+(model|KV|RS|compute|output) buffer size\s*=\s*([\d.]+) MiB")
_PARTS = {
    "model": "weights",
    "KV": "kv_cache",
    "RS": "recurrent_state",
    "compute": "compute",
    "output": "output",
}
_PREFIXES = re.compile(r"^(?:error loading model: |\w+: )+")
_ERROR_LEVEL = 4  # ggml.h: GGML_LOG_LEVEL_ERROR


class Log:
    """Collects llama.cpp's log lines; none of them goes to the terminal."""

    def __init__(self) -> None:
        self._lines: list[tuple[int, str]] = []

    def take(self, level: int, text: bytes, _data: object) -> None:
        """Take a line of the log: the callback of llama_log_set."""
        if level == _ERROR_LEVEL or b"buffer size" in text:
            self._lines.append((level, text.decode(errors="replace")))

    def start(self) -> None:
        """Forget all lines so far."""
        self._lines.clear()

    def buffers(self) -> dict[str, int]:
        """Sum up the buffers that were reported, in bytes, by part."""
        found = dict.fromkeys(
            ("weights", "repack", "kv_cache", "recurrent_state", "compute", "output"), 0
        )
        for name, kind, size in self._found():
            part = "repack" if kind == "model" and "REPACK" in name else _PARTS[kind]
            found[part] += int(float(size) * MIB)
        return found

    def names(self) -> set[str]:
        """Give the names of the buffers that were reported."""
        return {name for name, _, _ in self._found()}

    def _found(self) -> Iterator[tuple[str, str, str]]:
        """Give each reported buffer's name, kind and size in MiB."""
        for _, line in self._lines:
            if match := _BUFFER.search(line):
                name, kind, size = match.groups()
                yield name, kind, size

    def first_error(self) -> str:
        """Give the reason of a failed load: llama.cpp names the cause first, then what failed."""
        errors = self._errors()
        return _PREFIXES.sub("", errors[0]) if errors else ""

    def last_error(self) -> str:
        """Give the last error's own words, empty where there was none."""
        errors = self._errors()
        return errors[-1] if errors else ""

    def _errors(self) -> list[str]:
        """Give the errors without the functions that report them."""
        lines = [text.strip() for level, text in self._lines if level == _ERROR_LEVEL]
        return [line.split(": ", 1)[-1].rstrip(".") for line in lines]
