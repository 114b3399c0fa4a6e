"""How fast a placement decodes: one estimator, and what its figure stands on.

A token costs the bytes that are read for it over the rate at which the device reads
them, and a constant for each layer (kernels that wait for each other, the walk over
the vocabulary):

    seconds a token = bytes / (efficiency x bandwidth) + layers x seconds_per_layer

Both constants of a kind of device are fitted on every other reference row of the table
by benchmarks/speed.py, which prints the error on the rows between (docs/speed.md). A
measurement of this machine takes the place of the constants wherever there is one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qwenpick.catalog.model import Calibration, Catalog
    from qwenpick.hardware.machine import Machine, Measurement

Basis = Literal["measured", "bandwidth", "reference", "unknown"]
KINDS = {"nvidia": "cuda", "apple": "metal"}
REFERENCE_ARCH = "x86_64"
"""The reference rows of processors are of this kind; another kind's rate is unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """Rates in tokens per second; None is unknown."""

    decode: float | None = None
    prompt: float | None = None
    basis: Basis = "unknown"
    ceiling: float | None = None
    """What decoding can't exceed, where only a part of the machine is known."""

    def reaches(self, floor: float | None) -> bool:
        """Say whether nothing that is known speaks against *floor*."""
        known = self.decode if self.decode is not None else self.ceiling
        return floor is None or known is None or known >= floor


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one device does for a token: so many layers, so many bytes read."""

    layers: int
    bytes: int
    gpu: int | None = None
    """Index into the machine's GPUs; None is the processor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rated:
    """A file that was or may be measured: its name among the measurements, its work."""

    size: str | None
    quant: str | None
    gpu_layers: int
    text_params: int
    shares: tuple[Share, ...]


def estimate(
    rated: Rated, machine: Machine, catalog: Catalog, measured: Sequence[Measurement] = ()
) -> Speed:
    """Estimate the rates of a placed file, best basis first."""
    own = [one for one in measured if _same(one, rated)]
    if own:
        return Speed(decode=own[-1].decode_rate, prompt=own[-1].prompt_rate, basis="measured")
    prompt = _prompt_rate(rated, machine, catalog)
    seconds, unknown, basis = 0.0, False, "bandwidth"
    for share in rated.shares:
        cost, stands_on = _seconds(share, machine, catalog, measured)
        unknown |= cost is None
        seconds += cost or 0.0
        basis = stands_on if stands_on == "reference" else basis
    ceiling = 1 / seconds if seconds else None
    if unknown:
        return Speed(prompt=prompt, ceiling=ceiling)
    return Speed(
        decode=ceiling,
        prompt=prompt,
        basis="reference" if basis == "reference" else "bandwidth",
        ceiling=ceiling,
    )


def _same(one: Measurement, rated: Rated) -> bool:
    return (one.size, one.quant, one.gpu_layers) == (rated.size, rated.quant, rated.gpu_layers)


def _seconds(
    share: Share, machine: Machine, catalog: Catalog, measured: Sequence[Measurement]
) -> tuple[float | None, Basis]:
    """Give the seconds of a share for a token, and what they stand on."""
    if share.layers == 0 and share.bytes == 0:
        return 0.0, "bandwidth"
    if share.gpu is not None:
        gpu = machine.gpus[share.gpu]
        kind = catalog.speeds[KINDS.get(gpu.vendor, "cuda")]
        return _cost(share, kind, gpu.bandwidth_bytes_per_second), "bandwidth"
    kind = catalog.speeds["cpu"]
    reached = [rate for one in measured if (rate := _reached(one, kind, catalog))]
    if reached:
        return share.bytes / reached[-1] + share.layers * kind.seconds_per_layer, "bandwidth"
    known = machine.memory.bandwidth_bytes_per_second
    if known:
        return _cost(share, kind, known), "bandwidth"
    if machine.arch.casefold() in {REFERENCE_ARCH, "amd64"}:
        return _cost(share, kind, kind.bandwidth), "reference"
    return None, "unknown"


def _cost(share: Share, kind: Calibration, bandwidth: float | None) -> float | None:
    if not bandwidth:
        return None
    return share.bytes / (kind.efficiency * bandwidth) + share.layers * kind.seconds_per_layer


def _reached(one: Measurement, kind: Calibration, catalog: Catalog) -> float | None:
    """Give the bytes per second that the processor reached when a file was measured."""
    model = catalog.model(one.size) if one.size else None
    if model is None or one.gpu_layers or not one.decode_rate:
        return None
    seconds = 1 / one.decode_rate - model.architecture.layers * kind.seconds_per_layer
    return one.weights_bytes / seconds if seconds > 0 else None


def _prompt_rate(rated: Rated, machine: Machine, catalog: Catalog) -> float | None:
    """Scale the rate of a reference row of this very card; reading a prompt is arithmetic.

    Its work is proportional to the parameters, so the nearest size of the row is taken.
    """
    if len(machine.gpus) != 1 or any(share.gpu is None and share.layers for share in rated.shares):
        return None
    name = machine.gpus[0].name.casefold()
    best: tuple[float, float] | None = None
    for row in catalog.prompt_rates:
        model = catalog.model(row.size)
        if model is None or row.machine.casefold() not in name:
            continue
        ratio = model.architecture.text_params / rated.text_params
        distance = max(ratio, 1 / ratio)
        if best is None or distance < best[0]:
            best = (distance, (row.low * row.high) ** 0.5 * ratio)
    return best[1] if best else None
