"""How llama.cpp lays the intermediate results of a graph into one buffer.

A model of ggml's allocator (ggml/src/ggml-alloc.c): results are placed in the order in which
they are computed, in the smallest gap that holds them, and given back after their last use;
what can be computed in place takes over its input's room. The buffer's size is the highest
address that was ever used, which is more than what lives at any one time: gaps count.
"""

from __future__ import annotations

from msgspec import Struct, field

ALIGNMENT = 32  # TENSOR_ALIGNMENT: results start at multiples of it


class Result(Struct, kw_only=True):
    """An intermediate result, or a view into one."""

    bytes: int
    sources: tuple[Result, ...]
    root: Result | None = None
    """What a view looks into."""
    reuses: tuple[Result, ...] = ()
    """Sources of the same layout, whose room it may take over."""
    outside: bool = False
    """Whether it lies elsewhere: in the cache, or in the weights."""
    users: int = 0
    views: int = 0
    at: int | None = None


class Graph(Struct, kw_only=True):
    """Results in the order in which they are computed; inputs come before all others."""

    inputs: list[Result] = field(default_factory=list)
    steps: list[Result] = field(default_factory=list)

    def input(self, size: int) -> Result:
        """Add what the engine fills in before it computes, in bytes."""
        given = Result(bytes=size, sources=())
        self.inputs.append(given)
        return given

    def step(self, size: int, *sources: Result, reuses: tuple[Result, ...] = ()) -> Result:
        """Add a result of *size* bytes that is computed from *sources*."""
        result = Result(bytes=size, sources=sources, reuses=reuses)
        self.steps.append(result)
        return result

    def inplace(self, *sources: Result, beside: tuple[Result, ...] = ()) -> Result:
        """Add a result with the layout of its *sources*, which may take over a room of theirs."""
        return self.step(sources[0].bytes, *sources, *beside, reuses=sources)

    def view(self, source: Result) -> Result:
        """Add a view into *source*: it takes no room and keeps that of what it looks into."""
        root = source.root or source
        result = Result(bytes=source.bytes, sources=(source,), root=root)
        self.steps.append(result)
        return result

    def store(self, *sources: Result) -> None:
        """Add a step that writes to a place outside of the buffer."""
        self.steps.append(Result(bytes=0, sources=sources, outside=True))

    def size(self) -> int:
        """Give the size of the buffer in bytes."""
        room = _Room()
        for given in self.inputs:
            given.at = room.take(given.bytes)
        for step in self.steps:
            if step.root:
                step.root.views += 1
            for source in step.sources:
                source.users += 1
        for step in self.steps:
            if not step.outside and not step.root:
                step.at = _taken_over(step)
                if step.at is None:
                    step.at = room.take(step.bytes)
            for source in step.sources:
                source.users -= 1
                _let_go(source, room)
        return room.highest


def _taken_over(step: Result) -> int | None:
    """Take over the room of a source that nobody else will look at; never that of a view."""
    for source in step.reuses:
        if source.users == 1 and not source.views and source.at is not None:
            at, source.at = source.at, None
            return at
    return None


def _let_go(source: Result, room: _Room) -> None:
    """Give a source's room back once nobody needs it any more."""
    if source.users or source.views:
        return
    root = source.root or source
    if source.root:
        root.views -= 1
    if not root.users and not root.views and root.at is not None:
        room.give(root.at, _aligned(root.bytes))
        root.at = None


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


class _Room:
    """The buffer: its gaps, by address, and beyond the last one no end."""

    def __init__(self) -> None:
        self.gaps: list[tuple[int, int]] = []
        self.end = 0
        self.highest = 0

    def take(self, size: int) -> int:
        size = _aligned(size)
        fitting = [(length, at) for at, length in self.gaps if length >= size]
        if not fitting:
            at, self.end = self.end, self.end + size
            self.highest = max(self.highest, self.end)
            return at
        smallest = min(length for length, _ in fitting)
        at = max(
            at for length, at in fitting if length == smallest
        )  # of equals, ggml takes the last
        self.gaps.remove((at, smallest))
        if smallest > size:
            self.gaps.append((at + size, smallest - size))
            self.gaps.sort()
        return at

    def give(self, at: int, size: int) -> None:
        if not size:
            return
        before = next((gap for gap in self.gaps if gap[0] + gap[1] == at), None)
        after = next((gap for gap in self.gaps if gap[0] == at + size), None)
        for gap in (before, after):
            if gap:
                self.gaps.remove(gap)
        start = before[0] if before else at
        stop = after[0] + after[1] if after else at + size
        if stop == self.end:
            self.end = start
        else:
            self.gaps.append((start, stop - start))
            self.gaps.sort()
