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

from typing import TYPE_CHECKING, Literal

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from qwenpick.catalog.model import Calibration, Catalog
    from qwenpick.hardware.machine import Machine, Measurement
    from qwenpick.pick.profile import ModelProfile
    from qwenpick.pick.request import Settings

Basis = Literal["measured", "bandwidth", "reference", "unknown"]
KINDS = {"nvidia": "cuda", "apple": "metal"}
REFERENCE_ARCH = "x86_64"
"""The reference rows of processors are of this kind; another kind's rate is unknown."""
REPACK_PRICE = 1.1
"""So much faster must repacked weights decode to be worth their memory."""


class Speed(Struct, frozen=True, kw_only=True):
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


class DeviceWork(Struct, frozen=True, kw_only=True):
    """What one device does for a token: its layers, and the bytes that it reads."""

    layers: int
    bytes: int
    gpu: int | None = None
    """Index into the machine's GPUs; None is the processor."""


class Rated(Struct, frozen=True, kw_only=True):
    """A file that was or may be measured, with its settings, and its work."""

    subject: ModelProfile
    settings: Settings
    shares: tuple[DeviceWork, ...]


def estimate(
    rated: Rated, machine: Machine, catalog: Catalog, measured: Sequence[Measurement] = ()
) -> Speed:
    """Estimate the rates of a placed file, best basis first."""
    if one := _measured(rated, measured):
        return Speed(decode=one.decode_rate, prompt=one.prompt_rate, basis="measured")
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


def worth(decode_rate: float, *, repack: bool) -> float:
    """Compare the decoding of a set-up with that of others: the largest is the one for a chat."""
    return decode_rate / (REPACK_PRICE if repack else 1)


def own(measured: Iterable[Measurement], subject: ModelProfile) -> list[Measurement]:
    """Find what was measured of a file, with the engine that measured it last.

    A file that is none of the table's is told from others by its bytes, too.
    """
    found = [
        one
        for one in measured
        if one.decode_rate
        and (one.size, one.quant) == (subject.size, subject.quant)
        and (subject.size or one.weights_bytes == subject.file.bytes)
    ]
    return [one for one in found if one.engine_version == found[-1].engine_version]


def fastest(found: Iterable[Measurement]) -> Measurement | None:
    """Find the set-up that a chat should use, None where there is none."""
    return max(found, key=lambda one: worth(one.decode_rate or 0, repack=one.repack), default=None)


def _measured(rated: Rated, measured: Sequence[Measurement]) -> Measurement | None:
    """Find what was measured with these very settings, else with as many layers on the cards."""
    settings = rated.settings
    found = own(measured, rated.subject)
    placed = [one for one in found if one.gpu_layers == settings.gpu_layers]
    alike = [
        one for one in placed if (one.threads, one.repack) == (settings.threads, settings.repack)
    ]
    return fastest(alike) or fastest(placed)


def _seconds(
    share: DeviceWork, machine: Machine, catalog: Catalog, measured: Sequence[Measurement]
) -> tuple[float | None, Basis]:
    """Give the seconds of a share for a token, and what they stand on."""
    if share.layers == 0 and share.bytes == 0:
        return 0.0, "bandwidth"
    if share.gpu is not None:
        gpu = machine.gpus[share.gpu]
        kind = catalog.speeds[KINDS.get(gpu.vendor, "cuda")]
        return _cost(share, kind, gpu.bandwidth_bytes_per_second), "bandwidth"
    kind = catalog.speeds["cpu"]
    reached = [(one, rate) for one in measured if (rate := _reached(one, kind, catalog))]
    if reached:
        newest = reached[-1][0].model_file
        best = max(rate for one, rate in reached if one.model_file == newest)
        return share.bytes / best + share.layers * kind.seconds_per_layer, "bandwidth"
    known = machine.memory.bandwidth_bytes_per_second
    if known:
        return _cost(share, kind, known), "bandwidth"
    if machine.arch.casefold() in {REFERENCE_ARCH, "amd64"}:
        return _cost(share, kind, kind.bandwidth), "reference"
    return None, "unknown"


def _cost(share: DeviceWork, kind: Calibration, bandwidth: float | None) -> float | None:
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
        ratio = model.architecture.text_params / rated.subject.architecture.text_params
        distance = max(ratio, 1 / ratio)
        if best is None or distance < best[0]:
            best = (distance, (row.low * row.high) ** 0.5 * ratio)
    return best[1] if best else None
