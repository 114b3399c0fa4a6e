"""Loads the table of models: the packaged one, or the one that QWENPICK_CATALOG names.

Everything is checked here, so that the rooms behind can take it as it is.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from msgspec.structs import fields

from qwenpick.catalog.model import (
    Alternative,
    Architecture,
    Calibration,
    Catalog,
    Model,
    Projector,
    ReferenceRate,
    Sampling,
    WeightsFile,
)
from qwenpick.catalog.refreshed import overlaid
from qwenpick.errors import CatalogError

PACKAGED = Path(__file__).with_name("table.json")


def load() -> Catalog:
    """Load the table in force.

    Raises:
        CatalogError: It can't be read, or a part of it is missing or wrong.
    """
    path = Path(os.environ.get("QWENPICK_CATALOG") or PACKAGED)
    try:
        return overlaid(_catalog(json.loads(path.read_text(encoding="utf-8"))))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        problem = str(error)
    except KeyError as error:
        problem = f"{error.args[0]!r} is missing"
    except (TypeError, ValueError, AttributeError, IndexError) as error:
        problem = str(error)
    raise CatalogError(
        f"The table of models {path} can't be used: {problem}.",
        hint="Unset QWENPICK_CATALOG to use the packaged table."
        if path != PACKAGED
        else "Install qwenpick again: pip install --force-reinstall qwenpick",
    )


def _catalog(table: dict[str, Any]) -> Catalog:
    sizes: dict[str, Any] = table["sizes"]
    if not sizes:
        raise ValueError("it has no sizes")
    scores = table["benchmarks"]
    divergence = table["divergence"]
    catalog = Catalog(
        models=tuple(_model(size.casefold(), entry, scores) for size, entry in sizes.items()),
        uses={use: str(entry["benchmark"]) for use, entry in table["uses"].items()},
        divergence={
            quant: _positive(value, quant)
            for quant, value in table["quantisation"][divergence["row"]].items()
        },
        divergence_size=str(divergence["size"]),
        speeds={kind: Calibration(**values) for kind, values in table["speed"].items()},
        decode_rates=_rates(table["decode_tokens_per_second"]),
        prompt_rates=_rates(table["prompt_tokens_per_second"]),
    )
    for model in catalog.models:
        for use, benchmark in catalog.uses.items():
            if benchmark not in model.scores:
                raise ValueError(f"{model.size} has no {benchmark} score, which {use} needs")
    return catalog


def _model(size: str, entry: dict[str, Any], scores: dict[str, Any]) -> Model:
    projector = entry.get("mmproj")
    return Model(
        size=size,
        name=f"Qwen3.5-{size.upper()}",
        repo=_repo(entry["repo"]),
        revision=str(entry["revision"]),
        modelscope_repo=entry.get("modelscope_repo"),
        modelscope_revision=entry.get("modelscope_revision"),
        architecture=_architecture(entry["arch"], size),
        files=_files(entry, size),
        projector=Projector(
            name=_file_name(projector["file"]),
            bytes=_whole(projector["bytes"], "mmproj"),
            shape=_seeing(projector),
            sha256=_sha256(projector.get("sha256")),
        )
        if projector
        else None,
        sampling={
            mode: Sampling(**{name: values[name] for name in Sampling.__struct_fields__})
            for mode, values in entry["sampling"].items()
        },
        thinking_default=bool(entry["thinking_default"]),
        scores=_scores(size, scores),
        alternatives=tuple(
            Alternative(
                repo=_repo(other["repo"]),
                revision=str(other["revision"]),
                mtp=bool(other.get("mtp")),
                files=_files(other, size),
            )
            for other in entry.get("alternatives", ())
        ),
    )


def _seeing(projector: dict[str, Any]) -> tuple[int, int, int] | None:
    """Read a projector's shape, which tables of before may lack."""
    if "hidden" not in projector:
        return None
    hidden, ffn, layers = (
        _whole(projector[name], "mmproj") for name in ("hidden", "ffn", "layers")
    )
    return hidden, ffn, layers


def _architecture(entry: dict[str, Any], size: str) -> Architecture:
    """Read a shape; `mtp_layers` stays 0, since the listed files leave that block out."""
    values: dict[str, Any] = {}
    for slot in fields(Architecture):
        if slot.name == "mtp_layers" or (slot.name not in entry and not slot.required):
            continue
        value = entry[slot.name]
        flag = slot.name == "tied_embeddings"
        values[slot.name] = bool(value) if flag else _whole(value, f"{size} {slot.name}")
    return Architecture(**values)


def _files(entry: dict[str, Any], size: str) -> tuple[WeightsFile, ...]:
    if not entry["files"]:
        raise ValueError(f"{size} has no files")
    return tuple(
        WeightsFile(
            quant=quant,
            name=_file_name(entry["file_pattern"].format(quant=quant)),
            bytes=_whole(file["bytes"], f"{size} {quant} bytes"),
            bytes_exact=bool(file.get("exact", True)),
            sha256=_sha256(file.get("sha256")),
        )
        for quant, file in entry["files"].items()
    )


def _scores(size: str, table: dict[str, Any]) -> dict[str, float]:
    scores: dict[str, float] = {}
    for benchmark, row in table.items():
        score = row.get(size)
        if isinstance(score, dict):
            scores[benchmark] = float(score["thinking"])
            scores[f"{benchmark} NT"] = float(score["no_thinking"])
        elif score is not None:
            scores[benchmark] = float(score)
    return scores


def _rates(rows: list[list[Any]]) -> tuple[ReferenceRate, ...]:
    rates = []
    for machine, size, quant, rate in rows:
        low, high = rate if isinstance(rate, list) else (rate, rate)
        rates.append(
            ReferenceRate(
                machine=machine,
                size=size,
                quant=quant,
                low=_positive(low, machine),
                high=_positive(high, machine),
            )
        )
    return tuple(rates)


def _whole(value: object, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{where} is {value!r}")
    return value


def _positive(value: object, where: str) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or value <= 0:
        raise ValueError(f"{where} is {value!r}")
    return float(value)


def _repo(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", value):
        raise ValueError(f"{value!r} is no repository (owner/name)")
    return value


def _file_name(value: object) -> str:
    parts = value.split("/") if isinstance(value, str) else [""]
    if "\\" in str(value) or any(part in {"", ".", ".."} for part in parts):
        raise ValueError(f"{value!r} is no file name")
    return str(value)


def _sha256(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not re.fullmatch(r"[0-9a-f]{64}", value.casefold()):
        raise ValueError(f"{value!r} is no sha256")
    return value.casefold()
