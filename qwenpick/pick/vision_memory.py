"""What pictures take: the projector's weights, and the work on one picture.

The graph is that of llama.cpp's tools/mtmd/models/qwen3vl.cpp (without its deepstack layers,
which Qwen3.5's projectors do not have), step by step; `graph.py` lays it into a buffer.
"""

from __future__ import annotations

from functools import lru_cache

from msgspec import Struct

from qwenpick.pick.graph import Graph, Result

FLOAT, HALF = 4, 2
COLOURS = 3
TOKENS_A_PICTURE = 1024
"""What the model's authors advise at least where places in a picture matter; the library
itself would go up to 4,096, at four times the wait."""
MERGED = 4
"""Patches that become one token: two by two."""
TRIAL_TOKENS = 46 * 46
"""While a projector is loaded, the library makes a picture of so many, in floats, and copies
it (clip.cpp, set_warmup_n_tokens and get_dummy_batch)."""
COPIES = 3 * 1 + FLOAT
"""Bytes of a colour of a pixel beside the picture's own while it is encoded: the library's copy,
its copy of that, the one brought to whole tokens; and that in floats (mtmd.cpp, clip_encode, which
makes a second one in floats: of a large picture both are never all there, measured)."""
LIBRARIES = 10 << 20
"""Pillow, numpy, the multimodal library and its graph: measured (docs/memory.md)."""


class ProjectorShape(Struct, frozen=True, kw_only=True):
    """The shape of a projector of the type `qwen3vl_merger`."""

    weights: int
    """Bytes of its tensors."""
    hidden: int
    ffn: int
    layers: int
    out: int
    """The width of the model that it belongs to."""
    patch: int = 16
    """Pixels of a patch's side."""


def vision_bytes(eyes: ProjectorShape, tokens: int = TOKENS_A_PICTURE, *, later: int = 0) -> int:
    """Size all that pictures take, the largest of which has *tokens*.

    On top of the weights it is the work on one picture, or the library's trial of its own,
    whichever is larger. A processor turns what it multiplies the weights with to half floats
    first; the widest of these is the feed-forward part's.

    Args:
        eyes: The projector.
        tokens: Of the largest picture.
        later: Bytes elsewhere in the sum that are first used when the trial is over.
    """
    pixels = tokens * MERGED * eyes.patch**2
    halves = HALF * MERGED * tokens * eyes.ffn
    results = 2 * FLOAT * tokens * eyes.out  # the library's, and ours
    work = encoding_bytes(eyes, tokens) + halves + results + COLOURS * COPIES * pixels
    trial = 2 * FLOAT * COLOURS * TRIAL_TOKENS * MERGED * eyes.patch**2
    return eyes.weights + LIBRARIES + COLOURS * pixels + max(work, trial - later)


@lru_cache(maxsize=256)
def encoding_bytes(eyes: ProjectorShape, tokens: int) -> int:
    """Size the compute buffer for a picture of *tokens*.

    The engine makes it for the first picture, and a larger one for one that is larger.
    """
    return _Looking(eyes, MERGED * tokens).size()


class _Looking:
    """The graph of encoding a picture, as it is put together."""

    def __init__(self, eyes: ProjectorShape, patches: int) -> None:
        self.eyes, self.patches = eyes, patches
        self.graph = Graph()
        self.row = FLOAT * patches
        """Bytes of one number for each patch."""

    def size(self) -> int:
        """Look through as many layers as it takes until all gaps have been seen."""
        graph, eyes = self.graph, self.eyes
        pixels = graph.input(self.row * COLOURS * eyes.patch**2)
        positions = graph.input(4 * self.row)
        stream = graph.inplace(self.folded(pixels), self.folded(pixels))
        stream = graph.inplace(self.by_fours(stream))
        places = graph.step(self.row * eyes.hidden)  # the learned ones, stretched over the picture
        places = graph.step(self.row * eyes.hidden, graph.view(places))
        stream = graph.inplace(stream, self.by_fours(places))
        for _ in range(min(eyes.layers, 2)):
            residual = graph.inplace(self.attention(self.norm(stream), positions), stream)
            stream = graph.inplace(residual, self.feed_forward(self.norm(residual), eyes.ffn))
        self.projected(graph.view(self.norm(stream)))
        return graph.size()

    def folded(self, pixels: Result) -> Result:
        """Multiply each patch with one of the two kernels."""
        graph = self.graph
        columns = graph.step(HALF * self.patches * COLOURS * self.eyes.patch**2, pixels)
        product = graph.step(self.row * self.eyes.hidden, graph.view(columns))
        return graph.step(product.bytes, graph.view(graph.view(product)))

    def by_fours(self, source: Result) -> Result:
        """Bring the patches that become one token together."""
        graph = self.graph
        rows = graph.step(source.bytes, graph.view(source))
        return graph.step(source.bytes, graph.view(graph.view(rows)))

    def norm(self, source: Result) -> Result:
        """Unlike the text model's, it can't be computed in place."""
        graph = self.graph
        return graph.inplace(graph.inplace(graph.step(source.bytes, source)))

    def product(self, width: int, source: Result) -> Result:
        """Multiply with a matrix and add its bias: *width* numbers for each patch."""
        return self.graph.inplace(self.graph.step(self.row * width, source))

    def attention(self, normed: Result, positions: Result) -> Result:
        graph, width = self.graph, self.eyes.hidden
        mixed = self.product(3 * width, normed)
        query, key = graph.view(mixed), graph.view(mixed)
        value = graph.view(mixed)
        query = graph.step(self.row * width, query, positions)
        key = graph.step(self.row * width, key, positions)
        query = graph.view(query)
        key = graph.step(HALF * self.patches * width, graph.view(key))
        value = graph.step(HALF * self.patches * width, graph.view(value))
        answer = graph.step(self.row * width, query, key, value)
        return self.product(width, graph.view(answer))

    def feed_forward(self, normed: Result, width: int) -> Result:
        inner = self.graph.inplace(self.product(width, normed))
        return self.product(self.eyes.hidden, inner)

    def projected(self, normed: Result) -> Result:
        """Make a token of four patches."""
        inner = self.graph.inplace(self.product(self.eyes.hidden, normed))
        last = self.graph.step(self.row // MERGED * self.eyes.out, inner)
        return self.graph.inplace(last)
