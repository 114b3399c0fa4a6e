"""Streams a scripted answer to the terminal, a few characters at a time."""

import random
import time

from qwenpick.chat.events import Answer, Finished, Reading, Thinking, Turn
from qwenpick.cli import render
from qwenpick.cli.chat.stream import AnswerStream

TEXT = """Sunlight **scatters** off *molecules*, and `blue` light scatters more than the others do.

1. first
2. second

```python
def f(x):
    return f'{x}'
```

| name | what it holds |
| --- | --- |
| 漢字 | wide, and e\u0301 |

- one
- two

The end."""


def main() -> None:
    """Stream it."""
    dice = random.Random(3)  # noqa: S311 - the same pieces each time
    stream = AnswerStream(render.console())
    stream.take(Reading(10, 20))
    for tokens in range(1, 4):
        stream.take(Thinking("hm ", tokens))
        time.sleep(0.01)
    at = 0
    while at < len(TEXT):
        size = dice.randint(1, 6)
        stream.take(Answer(TEXT[at : at + size]))
        at += size
        time.sleep(0.005)
    stream.take(
        Finished(
            turn=Turn(
                reply=TEXT, finish="stop", prompt_tokens=1, cached_tokens=0, completion_tokens=1,
                first_token_seconds=None, prompt_rate=None, decode_rate=None,
            ),
            message=None,
        )
    )  # fmt: skip
    stream.close()


if __name__ == "__main__":
    main()
