"""The speed estimate against the table's reference rows, and the constants that it stands on.

Within a kind of device every other row calibrates, the rows between are held out: their
error is the one that counts. Prints the fit, which has to agree with the table's own
`speed` (checked), and the error of each row. docs/speed.md shows it.

    python benchmarks/speed.py [--json]
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from dataclasses import dataclass

import numpy as np

from qwenpick.catalog.model import Calibration, Catalog, ReferenceRate
from qwenpick.catalog.table import load
from qwenpick.hardware import cards
from qwenpick.pick.profile import of_catalog
from qwenpick.pick.request import Settings

PROCESSORS = {"AMD EPYC-Rome 8 threads", "4 vCPU Xeon AVX-512", "Xeon E-2176G"}
"""Rows measured on a processor whose bandwidth nobody gave: what they reach is fitted."""
CARDS = {
    "RTX 3060 12 GB": "RTX 3060 12GB",
    "RTX 4070 Ti 12 GB": "RTX 4070 Ti",
    "Mac mini M4 16 GB": "M4 16GB",
    "M4 Pro": "M4 Pro 24GB",
}
"""Rows whose name is not the name of a card in cards.json."""
OTHERS = {"Strix Halo": "Strix Halo 128GB"}
"""Kinds without a fit of their own, estimated with CUDA's."""
M1_ROW = "M1 8 GB CPU only"
M1_BANDWIDTH = 68.25e9  # Apple, M1: LPDDR4X-4266, 128 bit


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A reference row with what a token reads, and the bandwidth that it is read at."""

    rate: ReferenceRate
    kind: str
    bytes: int
    layers: int
    bandwidth: float | None
    calibrates: bool

    @property
    def measured(self) -> float:
        """The geometric mean of the range that was reported."""
        return math.sqrt(self.rate.low * self.rate.high)

    def estimate(self, fit: Calibration) -> float:
        """Give pick/speed.py's law for this row, in tokens per second."""
        bandwidth = self.bandwidth or fit.bandwidth or 0.0
        return 1 / (self.bytes / (fit.efficiency * bandwidth) + self.layers * fit.seconds_per_layer)


def rows(catalog: Catalog) -> list[Row]:
    """Read the reference rows that a kind of device is known of."""
    found: list[Row] = []
    for rate in catalog.decode_rates:
        kind, bandwidth = _device(rate.machine)
        model = catalog.model(rate.size)
        if kind is None or model is None or (file := model.file(rate.quant)) is None:
            continue
        subject = of_catalog(model, file, vision=False)
        weights = subject.memory(Settings(context=4096)).weights
        before = sum(row.kind == kind for row in found)
        found.append(
            Row(
                rate=rate,
                kind=kind,
                bytes=weights - subject.unread,
                layers=model.architecture.layers,
                bandwidth=bandwidth,
                calibrates=before % 2 == 0 and rate.machine not in OTHERS,
            )
        )
    return found


def _device(name: str) -> tuple[str | None, float | None]:
    """Give the kind of a row's device and its bandwidth; None where neither is known."""
    if name in PROCESSORS:
        return "cpu", None
    if name in OTHERS or name.startswith(("RTX", "Mac", "M4")):
        card = cards.find(OTHERS.get(name) or CARDS.get(name, name))
        kind = "other" if name in OTHERS else "cuda" if name.startswith("RTX") else "metal"
        return kind, card.bandwidth
    return None, None


def fit(chosen: list[Row]) -> tuple[float, float]:
    """Fit seconds = bytes / (efficiency x bandwidth) + layers x constant, relative error least."""
    matrix = np.array(
        [
            [row.bytes / (row.bandwidth or 1) * row.measured, row.layers * row.measured]
            for row in chosen
        ]
    )
    solved, *_ = np.linalg.lstsq(matrix, np.ones(len(chosen)), rcond=None)
    return float(1 / solved[0]), float(solved[1])


def calibrations(catalog: Catalog, found: list[Row]) -> dict[str, Calibration]:
    """Fit each kind on its calibrating rows."""
    fits: dict[str, Calibration] = {}
    for kind in ("cuda", "metal", "cpu"):
        reached, seconds = fit([row for row in found if row.kind == kind and row.calibrates])
        fits[kind] = Calibration(efficiency=reached, seconds_per_layer=seconds)
    rate = next(rate for rate in catalog.decode_rates if rate.machine == M1_ROW)
    model = catalog.model(rate.size)
    file = model.file(rate.quant) if model else None
    if model is None or file is None:
        raise SystemExit(f"the table has no file for the row {M1_ROW}")
    weights = of_catalog(model, file, vision=False).memory(Settings(context=4096)).weights
    cpu = fits["cpu"]
    reached = weights / (1 / rate.low - model.architecture.layers * cpu.seconds_per_layer)
    efficiency = reached / M1_BANDWIDTH
    fits["cpu"] = Calibration(
        efficiency=efficiency,
        seconds_per_layer=cpu.seconds_per_layer,
        bandwidth=cpu.efficiency / efficiency,
    )
    return fits


def main() -> None:
    """Fit, compare with the table, print every row's error."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    catalog = load()
    found = rows(catalog)
    fits = calibrations(catalog, found)
    table = []
    for row in found:
        estimate = row.estimate(catalog.speeds["cuda" if row.kind == "other" else row.kind])
        table.append(
            {
                "machine": row.rate.machine,
                "file": f"{row.rate.size.upper()} {row.rate.quant}",
                "measured": round(row.measured, 1),
                "estimate": round(estimate, 1),
                "error": round(estimate / row.measured - 1, 3),
                "calibrates": row.calibrates,
            }
        )
    if options.json:
        print(json.dumps({"rows": table}, indent=1))
        return
    for kind, value in fits.items():
        packaged = catalog.speeds[kind]
        print(f"{kind}: fitted {value}\n{' ' * len(kind)}  table  {packaged}")
        assert abs(value.efficiency / packaged.efficiency - 1) < 0.02, "the table's fit is stale"
    print(f"\n{'machine':26} {'file':16} {'measured':>8} {'estimate':>8} {'error':>7}")
    for line in table:
        mark = "calibrates" if line["calibrates"] else ""
        print(
            f"{line['machine']:26} {line['file']:16} {line['measured']:8} "
            f"{line['estimate']:8} {line['error']:+7.0%} {mark}"
        )
    held = [abs(float(str(line["error"]))) for line in table if not line["calibrates"]]
    print(
        f"\nheld-out rows: {len(held)}, median error {statistics.median(held):.0%}, "
        f"worst {max(held):.0%}"
    )


if __name__ == "__main__":
    main()
