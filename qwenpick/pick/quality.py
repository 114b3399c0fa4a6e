"""How good the answers of a file are: its size's score, lowered by what quantising costs.

An estimate, and said to be one. The score is the benchmark that the table names for the use, in
points of 100: without thinking where that was published, with it for a use that always thinks.
A quantisation with a mean KL divergence of D nats a token from BF16 keeps exp(-D) of the
probability that BF16 gives to a token; we take the same share of the score. D comes from the
table, interpolated over bits per weight: a straight line in log D, and from the last figure up
to BF16's own 16 bits, where D is 0, a straight line in D.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from qwenpick.catalog.model import Catalog, Model, WeightsFile
    from qwenpick.pick.request import Request

BF16_BITS = 16.0


class Quality(Struct, frozen=True, kw_only=True):
    """What the answers of a file score, in points of 100."""

    score: float
    benchmark: str
    kept: float
    """The share of the size's score that the quantisation keeps."""


def quality(catalog: Catalog, model: Model, file: WeightsFile, request: Request) -> Quality:
    """Estimate the quality of a file's answers for a use."""
    use = catalog.uses[request.use]
    benchmark = catalog.vision_benchmark if request.vision else use.benchmark
    direct = f"{benchmark} NT"
    named = benchmark if use.thinks or direct not in model.scores else direct
    kept = math.exp(-divergence(catalog, bits_per_weight(model, file)))
    return Quality(score=model.scores[named] * kept, benchmark=named, kept=kept)


def bits_per_weight(model: Model, file: WeightsFile) -> float:
    """Give the bits that a file spends on a parameter of the text model."""
    return file.bytes * 8 / model.architecture.text_params


def divergence(catalog: Catalog, bits: float) -> float:
    """Estimate the mean KL divergence from BF16 at so many bits per weight, in nats a token."""
    points = catalog.divergence
    top_bits, top = points[-1]
    if bits >= top_bits:
        return top * max(BF16_BITS - bits, 0.0) / (BF16_BITS - top_bits)
    pairs = list(itertools.pairwise(points))
    (low_bits, low), (high_bits, high) = next(pair for pair in pairs if bits < pair[1][0])
    slope = (math.log(high) - math.log(low)) / (high_bits - low_bits)
    return math.exp(math.log(low) + slope * (bits - low_bits))
