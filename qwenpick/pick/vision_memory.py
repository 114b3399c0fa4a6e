"""What images take: the projector's weights, and the work on one image."""

from __future__ import annotations

from msgspec import Struct

FLOAT, HALF = 4, 2
COLOURS = 3
POSITIONS = 4
"""Numbers of a patch's position."""
TOKENS_A_PICTURE = 1024
"""What the model's authors advise at least where places in an image matter; the library
itself would go up to 4,096, at four times the wait."""
MERGED = 4
"""Patches that become one token: two by two."""
TRIAL_TOKENS = 46 * 46
"""While a projector is loaded, the library makes an image of this many tokens, in floats, and
copies it (clip.cpp, set_warmup_n_tokens and get_dummy_batch)."""
COPIES = 3 * 1 + FLOAT
"""Bytes of a colour of a pixel beside the image's own while it is encoded: the library's copy,
its copy of that, the one brought to whole tokens; and that in floats (mtmd.cpp, clip_encode, which
makes a second one in floats: of a large image both are never there at once, measured)."""
LIBRARIES = 10 << 20
"""Pillow, numpy, the multimodal library and its graph: measured (docs/measurements/sight.md)."""


class ProjectorShape(Struct, frozen=True, kw_only=True):
    """The shape of a projector of the type `qwen3vl_merger`."""

    weights: int
    """Bytes of its tensors."""
    hidden: int
    ffn: int
    out: int
    """The width of the model that it belongs to."""
    patch: int = 16
    """Pixels of a patch's side."""
    encoding: int | None = None
    """Bytes of the encoder's compute buffer for each token of an image, where they are known."""


def vision_bytes(
    projector: ProjectorShape, tokens: int = TOKENS_A_PICTURE, *, later: int = 0
) -> int:
    """Size all that images take, the largest of which has *tokens*.

    On top of the weights it is the work on one image, or the library's trial of its own,
    whichever is larger. A processor turns what it multiplies the weights with to half floats
    first; the widest of these is the feed-forward part's.

    Args:
        projector: Its shape.
        tokens: Of the largest image.
        later: Bytes elsewhere in the sum that are first used when the trial is over.
    """
    pixels = tokens * MERGED * projector.patch**2
    halves = HALF * MERGED * tokens * projector.ffn
    results = 2 * FLOAT * tokens * projector.out  # the library's, and ours
    work = encoding_bytes(projector, tokens) + halves + results + COLOURS * COPIES * pixels
    trial = 2 * FLOAT * COLOURS * TRIAL_TOKENS * MERGED * projector.patch**2
    return projector.weights + LIBRARIES + COLOURS * pixels + max(work, trial - later)


def encoding_bytes(projector: ProjectorShape, tokens: int) -> int:
    """Size the compute buffer for an image of *tokens*, which it is proportional to.

    The engine makes it for the first image, and a larger one for one that is larger. Of a
    projector that is not in the catalogue it is an estimate, from the widest of three stages: up
    to 8 % more than the engine takes for the catalogue's.
    """
    if projector.encoding is not None:
        return projector.encoding * tokens
    pixels = COLOURS * projector.patch**2
    width = projector.hidden
    numbers = max(pixels * 3 // 2 + width, pixels + 6 * width, projector.ffn + 3 * width)
    return FLOAT * MERGED * (numbers + POSITIONS) * tokens
