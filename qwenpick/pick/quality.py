"""How good the answers of a file are: its size's score, lowered by what quantising costs.

An estimate. The score is the benchmark that the table names for the
use, in points of 100. A quantisation with a mean KL divergence of D nats a token from
BF16 keeps exp(-D) of the probability that BF16 gives to a token; we take the same share
of the score. D comes from the one row of the table that `divergence` names,
interpolated over bits per weight: a straight line in log D, and on the last stretch,
up to BF16's own 16 bits where D is 0, a straight line in D.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qwenpick.catalog.model import Catalog, Model, WeightsFile
    from qwenpick.pick.request import Request

BF16_BITS = 16.0


def bits_per_weight(model: Model, file: WeightsFile) -> float:
    """Give the bits that a file spends on a parameter of the text model."""
    return file.bytes * 8 / model.architecture.text_params


def divergence(catalog: Catalog, bits: float) -> float:
    """Estimate the mean KL divergence from BF16 at a number of bits per weight, in nats a token."""
    points = _points(catalog)
    if bits >= BF16_BITS:
        return 0.0
    top_bits, top = points[-1]
    if bits >= top_bits:
        return top * (BF16_BITS - bits) / (BF16_BITS - top_bits)
    pairs = list(itertools.pairwise(points))
    (low_bits, low), (high_bits, high) = next(
        (pair for pair in pairs if pair[0][0] <= bits < pair[1][0]), pairs[0]
    )
    slope = (math.log(high) - math.log(low)) / (high_bits - low_bits)
    return math.exp(math.log(low) + slope * (bits - low_bits))


def quality(catalog: Catalog, model: Model, file: WeightsFile, wish: Request) -> float:
    """Estimate the quality of a file's answers for a use, in points of 100.

    Rounded to the tenth of a point that model cards give, so that files which no
    published figure tells apart are tied.
    """
    score = model.scores[catalog.uses["vision" if wish.vision else wish.use]]
    return round(score * math.exp(-divergence(catalog, bits_per_weight(model, file))), 1)


def _points(catalog: Catalog) -> list[tuple[float, float]]:
    """Give the table's row as (bits per weight, divergence), by bits."""
    model = catalog.model(catalog.divergence_size)
    if model is None:
        return [(4.0, 0.0), (8.0, 0.0)]
    files = ((model.file(quant), value) for quant, value in catalog.divergence.items())
    return sorted((bits_per_weight(model, file), value) for file, value in files if file)
