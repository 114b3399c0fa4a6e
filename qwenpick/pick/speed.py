"""How fast a placement reads and writes: one estimator, and what its figures stand on.

Writing a token costs the bytes that are read for it over the rate at which the device reads
them, and a constant for each layer (kernels that wait for each other, the walk over the
vocabulary); reading a prompt is arithmetic:

    seconds a token written = bytes / (efficiency x bandwidth) + layers x seconds_per_layer
    seconds a token read    = 2 x parameters / operations a second

All constants are the table's, with their sources. Efficiency and the constant are fitted on every
other reference row by benchmarks/speed.py, which prints the error on the rows between
(docs/speed.md). A measurement of this machine takes their place wherever there is one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from qwenpick.catalog.model import Calibration, Catalog
    from qwenpick.hardware.machine import Gpu, Machine, Measurement
    from qwenpick.pick.profile import ModelProfile
    from qwenpick.pick.request import Settings

Basis = Literal["measured", "bandwidth", "reference", "guess"]
BASES: tuple[Basis, ...] = ("measured", "bandwidth", "reference", "guess")
"""From the surest to the least sure."""
KINDS = {"nvidia": "cuda", "apple": "metal"}
REFERENCE_ARCHS = {"x86_64", "amd64"}
"""The reference rows of processors are of this kind."""
REFERENCE_CORES = 8
"""Cores of the reference processors; more of them come with more channels of memory."""
REPACK_PRICE = 1.1
"""So much faster must repacked weights decode to be worth their memory."""
_PASCAL = re.compile(r"GTX (10|TITAN X)|TITAN Xp|\bP(4|6|40|100)\b|\bP[1-6]000\b", re.IGNORECASE)


class Speed(Struct, frozen=True, kw_only=True):
    """Rates in tokens per second; each user's where there are several."""

    decode: float
    prompt: float
    basis: Basis


class DeviceWork(Struct, frozen=True, kw_only=True):
    """What one device does for a token: its layers, and the bytes that it reads."""

    layers: int
    bytes: int
    gpu: int | None = None
    """Index into the machine's GPUs; None is the processor."""


class Rated(Struct, frozen=True, kw_only=True):
    """A file that was or may be measured, with its settings, and its work."""

    profile: ModelProfile
    settings: Settings
    work: tuple[DeviceWork, ...]


def estimate(
    rated: Rated, machine: Machine, catalog: Catalog, measured: Sequence[Measurement] = ()
) -> Speed:
    """Estimate the rates of a placed file, best basis first."""
    written, read = 0.0, 0.0
    basis: Basis = "bandwidth"
    layers = rated.profile.architecture.layers
    operations = rated.profile.operations
    for share in rated.work:
        if share.layers == 0 and share.bytes == 0:
            continue
        reached = _operations(share, rated.settings, machine, catalog, measured)
        part = operations * (share.layers or 1) / layers / reached
        seconds, stands_on = _seconds(share, machine, catalog, measured)
        written += max(seconds, part) if share.gpu is None else seconds
        read += part
        basis = max(basis, stands_on, key=BASES.index)
    found = Speed(decode=1 / written, prompt=1 / max(read, 1e-9), basis=basis)
    if one := _measured(rated, measured):
        found = Speed(
            decode=one.decode_rate or found.decode,
            prompt=one.prompt_rate or found.prompt,
            basis="measured",
        )
    return _of_each(found, rated, catalog)


def worth(decode_rate: float, *, repack: bool) -> float:
    """Compare the decoding of a set-up with that of others: the largest is the one for a chat."""
    return decode_rate / (REPACK_PRICE if repack else 1)


def own(measured: Iterable[Measurement], profile: ModelProfile) -> list[Measurement]:
    """Find what was measured of a file, with the engine that measured it last.

    A file that is none of the table's is told from others by its bytes, too.
    """
    found = [
        one
        for one in measured
        if one.decode_rate
        and (one.size, one.quant) == (profile.size, profile.quant)
        and (profile.size or one.weights_bytes == profile.file.bytes)
    ]
    return [one for one in found if one.engine_version == found[-1].engine_version]


def fastest(found: Iterable[Measurement]) -> Measurement | None:
    """Find the set-up that a chat should use, None where there is none."""
    return max(found, key=lambda one: worth(one.decode_rate or 0, repack=one.repack), default=None)


def _of_each(speed: Speed, rated: Rated, catalog: Catalog) -> Speed:
    """Give each user's rates when all are answered at once.

    A batch's weights are read once for all users, its arithmetic is done for each.
    """
    users = rated.settings.users
    if users == 1:
        return speed
    on_cards = all(share.gpu is not None or not share.layers for share in rated.work)
    longer = catalog.rules.shared_card if on_cards else catalog.rules.shared_cpu
    return Speed(
        decode=speed.decode / (1 + longer * (users - 1)),
        prompt=speed.prompt / users,
        basis=speed.basis,
    )


def _measured(rated: Rated, measured: Sequence[Measurement]) -> Measurement | None:
    """Find what was measured with these very settings, else with as many layers on the cards."""
    settings = rated.settings
    found = own(measured, rated.profile)
    placed = [one for one in found if one.gpu_layers == settings.gpu_layers]
    alike = [
        one for one in placed if (one.threads, one.repack) == (settings.threads, settings.repack)
    ]
    return fastest(alike) or fastest(placed)


def _seconds(
    share: DeviceWork, machine: Machine, catalog: Catalog, measured: Sequence[Measurement]
) -> tuple[float, Basis]:
    """Give the seconds of a share for a token written, and what they stand on."""
    if share.gpu is not None:
        gpu = machine.gpus[share.gpu]
        kind = catalog.speeds[KINDS.get(gpu.vendor, "cuda")]
        reached, basis = _card_rate(gpu, kind, machine, catalog)
        return share.bytes / reached + share.layers * kind.seconds_per_layer, basis
    kind = catalog.speeds[_cpu_kind(machine)]
    reached, basis = _cpu_rate(kind, machine, catalog, measured)
    return share.bytes / reached + share.layers * kind.seconds_per_layer, basis


def _card_rate(
    gpu: Gpu, kind: Calibration, machine: Machine, catalog: Catalog
) -> tuple[float, Basis]:
    """Give the bytes per second at which a card reads weights."""
    known = gpu.bandwidth_bytes_per_second
    if not known and gpu.unified:
        known = machine.memory.bandwidth_bytes_per_second
    if known:
        return kind.efficiency * known, "bandwidth"
    if gpu.unified:
        return catalog.unknown_bandwidth.integrated, "guess"
    return kind.efficiency * catalog.unknown_bandwidth.card, "guess"


def _cpu_rate(
    kind: Calibration, machine: Machine, catalog: Catalog, measured: Sequence[Measurement]
) -> tuple[float, Basis]:
    """Give the bytes per second at which the processor reads weights."""
    if reached := _reached(measured, kind, catalog):
        return reached, "bandwidth"
    known = machine.memory.bandwidth_bytes_per_second
    if known:
        return kind.efficiency * known, "bandwidth"
    guessed, basis = usual_bandwidth(machine, catalog)
    return kind.efficiency * guessed, basis


def usual_bandwidth(machine: Machine, catalog: Catalog) -> tuple[float, Basis]:
    """Say what memory of such a processor usually does, in bytes per second as on its data sheet.

    More cores than the reference processors have come with more channels of memory: their root
    is a careful guess.
    """
    more = max(machine.cpu.usable_threads / REFERENCE_CORES, 1) ** 0.5
    reference = catalog.speeds["cpu"].bandwidth
    if machine.arch.casefold() in REFERENCE_ARCHS and reference:
        return reference * more, "reference" if more == 1 else "guess"
    guesses, features = catalog.unknown_bandwidth, machine.cpu.features
    reached = guesses.arm
    if "dotprod" in features:
        reached = guesses.i8mm * more if "i8mm" in features else guesses.dotprod
    return reached / catalog.speeds[_cpu_kind(machine)].efficiency, "guess"


def _cpu_kind(machine: Machine) -> str:
    """Tell boards and phones, which reach less of their bandwidth, from other processors."""
    arm = machine.arch.casefold() in {"aarch64", "arm64"}
    return "arm" if arm and not machine.os.startswith("macOS") else "cpu"


def _reached(measured: Sequence[Measurement], kind: Calibration, catalog: Catalog) -> float | None:
    """Give the bytes per second that the processor reached with the file measured last."""
    rates: dict[str, list[float]] = {}
    for one in measured:
        model = catalog.model(one.size) if one.size else None
        if model is None or one.gpu_layers or not one.decode_rate:
            continue
        seconds = 1 / one.decode_rate - model.architecture.layers * kind.seconds_per_layer
        if seconds > 0:
            rates.setdefault(one.model_file, []).append(one.weights_bytes / seconds)
    return max(list(rates.values())[-1]) if rates else None


def _operations(
    share: DeviceWork,
    settings: Settings,
    machine: Machine,
    catalog: Catalog,
    measured: Sequence[Measurement],
) -> float:
    """Give the floating-point operations a second that reading a prompt reaches on a device."""
    read = catalog.read
    if share.gpu is None:
        features = machine.cpu.features
        best = next((name for name in read.thread if name in features), "other")
        return _read_here(measured, catalog) or settings.threads * read.thread[best]
    gpu = machine.gpus[share.gpu]
    bandwidth = gpu.bandwidth_bytes_per_second or machine.memory.bandwidth_bytes_per_second
    if gpu.unified and not bandwidth:
        return read.integrated
    if gpu.vendor == "nvidia" and (
        gpu.compute.startswith("6.") if gpu.compute else _PASCAL.search(gpu.name)
    ):
        per_byte = read.card["pascal"]
    else:
        per_byte = read.card.get(gpu.vendor, min(read.card.values()))
    known = bandwidth if gpu.unified else gpu.bandwidth_bytes_per_second
    return per_byte * (known or catalog.unknown_bandwidth.card)


def _read_here(measured: Sequence[Measurement], catalog: Catalog) -> float | None:
    """Give the operations a second that the processor reached with the file measured last."""
    for one in reversed(measured):
        model = catalog.model(one.size) if one.size else None
        if model and one.prompt_rate and not one.gpu_layers:
            return one.prompt_rate * 2 * model.architecture.text_params
    return None
