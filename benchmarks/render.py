"""What the renderer costs, and how soon the first character is on the screen.

A scripted engine gives tokens at a fixed rate to the very stream that the chat uses, on
a pseudo-terminal that another thread reads as a terminal would. Printed: the renderer's
share of the time, and the time from the engine's first token to the first visible byte.

    python benchmarks/render.py [--json]
"""

from __future__ import annotations

import json
import os
import pty
import re
import sys
import threading
import time
from typing import TYPE_CHECKING

from rich.console import Console

from qwenpick.chat.events import Answer, Event, Thinking
from qwenpick.cli.chat.stream import AnswerStream

if TYPE_CHECKING:
    from collections.abc import Iterator

RATES = (100, 400)  # tokens per second
TOKENS = 1200
TEXT = """## Sorting

**Sorting** puts things in order; `sorted` gives a new list, *always* a list.

1. Take the first.
2. Compare it with the next, and the one after that.
3. Go on until nothing moves.

```python
def bubble(items: list[int]) -> list[int]:
    for end in range(len(items), 0, -1):
        for at in range(end - 1):
            if items[at] > items[at + 1]:
                items[at], items[at + 1] = items[at + 1], items[at]
    return items
```

| way | best | worst |
| --- | --- | --- |
| bubble | n | n squared |
| merge | n log n | n log n |

> Measure before you change it, and say what you have measured it on.

"""


def tokens() -> Iterator[Event]:
    """Give a thought and an answer of TOKENS tokens, about four characters each."""
    for count in range(1, 51):
        yield Thinking("so, ", count)
    pieces = re.findall(r"\s?\S{1,4}|\s", TEXT)
    for index in range(TOKENS - 50):
        yield Answer(pieces[index % len(pieces)])


def run(rate: int) -> dict[str, float]:
    """Stream at *rate* tokens per second; shares are of the whole time, times in seconds."""
    leader, follower = pty.openpty()
    seen: list[float] = []
    terminal = threading.Thread(target=_read, args=(leader, seen), daemon=True)
    terminal.start()
    with os.fdopen(follower, "w", encoding="utf-8") as file:
        stream = AnswerStream(Console(file=file, force_terminal=True, width=80, markup=False))
        started = time.perf_counter()
        cpu = time.thread_time()
        for index, event in enumerate(tokens()):
            time.sleep(max(0.0, started + index / rate - time.perf_counter()))
            stream.take(event)
        stream.close()
        cpu = time.thread_time() - cpu
        seconds = time.perf_counter() - started
    os.close(leader)
    return {
        "rate": rate,
        "share": cpu / seconds,
        "milliseconds_a_token": 1000 * cpu / TOKENS,
        "first_character_seconds": seen[0] - started,
    }


def _read(leader: int, seen: list[float]) -> None:
    """Be the terminal: take everything, and note when something visible came."""
    try:
        while data := os.read(leader, 65536):
            if not seen and re.sub(rb"\x1b\[[0-9;?]*[a-zA-Z]|\s", b"", data):
                seen.append(time.perf_counter())
    except OSError:
        return


def main() -> None:
    """Print a line a rate, or JSON."""
    results = [run(rate) for rate in RATES]
    if "--json" in sys.argv:
        print(json.dumps({"schema": 1, "tokens": TOKENS, "runs": results}, indent=1))
        return
    print("tokens/s   renderer's share   a token   first character")
    for result in results:
        print(
            f"{result['rate']:8.0f}   {result['share']:16.1%}   "
            f"{result['milliseconds_a_token']:4.2f} ms   "
            f"{1000 * result['first_character_seconds']:12.1f} ms"
        )


if __name__ == "__main__":
    main()
