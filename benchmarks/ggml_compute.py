"""The compute buffer: the intermediate results of reading a batch, as llama.cpp orders them.

The graph is that of src/models/qwen35.cpp, step by step, and for models with attention
throughout that of src/models/llama.cpp; `ggml_graph.py` lays it into a buffer.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from ggml_graph import Graph, Result

if TYPE_CHECKING:
    from qwenpick.catalog.model import Architecture

FLOAT, HALF, LONG = 4, 2, 8
V_ROTATION = 64
"""Side of the matrix that values are rotated with before they are quantised
(llama-kv-cache.cpp, build_input_v_rot)."""
POSITIONS = 4
"""Numbers of a token's position where pictures have rows and columns (M-RoPE)."""


@lru_cache(maxsize=256)
def graph_bytes(shape: Architecture, batch: int, *, rotated: bool) -> int:
    """Size the buffer for a batch on the host, without the attention mask.

    Args:
        shape: The model's shape.
        batch: Tokens that are read at once.
        rotated: Whether the KV cache is quantised, for which llama.cpp rotates its rows.
    """
    return Reading(shape, batch, rotated=rotated).size()


def rotations(arch: Architecture) -> tuple[int, int]:
    """Size the matrices that the rows of a quantised cache's keys and values are rotated with.

    The side of the keys' is the largest power of 2 that divides them.
    """
    side = V_ROTATION
    while arch.head_dim % (2 * side) == 0:
        side *= 2
    return FLOAT * side**2, FLOAT * V_ROTATION**2


class Reading:
    """The graph of reading a batch, as it is put together."""

    def __init__(self, shape: Architecture, batch: int, *, rotated: bool) -> None:
        self.shape = shape
        self.graph = Graph()
        self.row = FLOAT * batch
        """Bytes of one number for each token."""
        self.tokens = self.graph.input(FLOAT * batch)
        self.graph.input(self.row * shape.hidden)  # embedded pictures: there, though unused
        self.positions = self.graph.input(POSITIONS * FLOAT * batch)
        self.cells = self.graph.input(LONG * batch), self.graph.input(LONG * batch)
        self.rotations: tuple[Result, ...] = ()
        if rotated:
            self.rotations = tuple(self.graph.input(size) for size in rotations(shape))

    def size(self) -> int:
        """Read through as many layers as it takes until all gaps have been seen."""
        shape, graph = self.shape, self.graph
        interval = shape.layers // shape.full_attention_layers
        states = graph.input(FLOAT)
        stream = graph.step(self.row * shape.hidden, self.tokens)
        for layer in range(min(shape.layers, 2 * interval)):
            normed = self.norm(stream)
            if (layer + 1) % interval:
                mixed = self.linear(normed, states)
            else:
                mixed = self.attention(normed)
            residual = graph.inplace(mixed, stream)
            stream = self.feed_forward(residual)
        last = graph.step(FLOAT * shape.hidden, self.norm(stream))
        graph.step(FLOAT * shape.vocab, last)
        return graph.size()

    def norm(self, source: Result) -> Result:
        """Normalise, and scale: both may be done in place."""
        return self.graph.inplace(self.graph.inplace(source))

    def product(self, width: int, source: Result) -> Result:
        """Multiply with a matrix of the weights: *width* numbers for each token."""
        return self.graph.step(self.row * width, source)

    def feed_forward(self, residual: Result) -> Result:
        """Go through the feed-forward part, and add what came in."""
        graph, shape = self.graph, self.shape
        normed = self.norm(residual)
        gate, up = self.product(shape.ffn, normed), self.product(shape.ffn, normed)
        both = graph.step(gate.bytes, gate, up)
        return graph.inplace(self.product(shape.hidden, both), residual)

    def attention(self, normed: Result) -> Result:
        """Store keys and values in the cache, and weigh what is there."""
        graph, shape = self.graph, self.shape
        width, kept = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
        gated = bool(shape.linear_layers)
        queries = self.product(2 * width if gated else width, normed)
        query = graph.view(queries)
        if gated:
            query = graph.inplace(graph.step(self.row * width, query))
        query = self.rotated(graph.inplace(query, beside=(self.positions,)), 0)
        value = self.rotated(graph.view(self.product(kept, normed)), 1)
        key = graph.view(self.product(kept, normed))
        key = self.norm(key) if gated else key
        key = self.rotated(graph.inplace(key, beside=(self.positions,)), 0)
        for row, cell in zip((key, value), self.cells, strict=True):
            graph.store(graph.view(row), cell)
        answer = graph.view(self.attended(graph.view(graph.view(query))))
        answer.bytes = self.row * width  # on a card there is more behind it
        answer = self.rotated(answer, 1)
        if gated:
            gate = graph.inplace(graph.step(self.row * width, graph.view(queries)))
            answer = graph.inplace(answer, gate)
        return self.product(shape.hidden, answer)

    def attended(self, query: Result) -> Result:
        """Weigh the values, in one step (flash attention)."""
        return self.graph.step(self.row * self.shape.heads * self.shape.head_dim, query)

    def rotated(self, source: Result, which: int) -> Result:
        """Rotate rows where the cache is quantised: keys' (0) or values' (1)."""
        if not self.rotations:
            return source
        turned = self.graph.step(source.bytes, self.graph.view(source), self.rotations[which])
        return self.graph.view(turned)

    def linear(self, normed: Result, states: Result) -> Result:
        """Convolve the mixed channels with their tail, then walk the state over the tokens."""
        graph, shape = self.graph, self.shape
        keys = shape.linear_key_heads * shape.linear_key_dim
        heads = shape.linear_value_heads
        values = heads * shape.linear_value_dim
        channels = 2 * keys + values
        tail = graph.step(FLOAT * (shape.linear_conv_kernel - 1) * channels, graph.view(states))
        mixed = self.product(channels, normed)
        longer = graph.step(
            mixed.bytes + tail.bytes, graph.view(tail), graph.view(graph.view(mixed))
        )
        graph.store(graph.view(longer))
        state = graph.step(FLOAT * values * shape.linear_key_dim, graph.view(states))
        convolved = graph.inplace(self.product(channels, longer))
        query = graph.inplace(graph.step(self.row * keys, graph.view(convolved)))
        key = graph.inplace(graph.step(self.row * keys, graph.view(convolved)))
        value = graph.view(convolved)
        fading = graph.view(self.product(heads, normed))
        fading = graph.view(graph.inplace(graph.inplace(graph.inplace(fading))))
        beta = graph.inplace(graph.view(self.product(heads, normed)))
        walked = graph.step(
            self.row * values + state.bytes, query, key, value, fading, beta, graph.view(state)
        )
        graph.store(graph.view(walked))
        answer = graph.view(walked)
        answer.bytes = self.row * values
        answer = self.norm(answer)
        gate = graph.inplace(graph.view(self.product(values, normed)))
        answer = graph.view(graph.inplace(answer, gate))
        return graph.view(self.product(shape.hidden, answer))
