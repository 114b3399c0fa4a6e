"""What the names of a repository's files say: which quantisation, which parts, which projector."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from qwenpick.errors import PullError, UsageError
from qwenpick.pull.reference import DEFAULT_QUANT, unknown_quant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qwenpick.pull.reference import HubFile

_QUANT = r"(?:UD-)?(?:I?Q\d+(?:_[A-Z0-9]+)*|TQ\d_\d|MXFP4(?:_MOE)?|BF16|F16|F32)"
_NAMED = re.compile(rf"(?:^|[-._/])({_QUANT})(?:-\d{{5}}-of-\d{{5}})?\.gguf$", re.IGNORECASE)
_SPLIT = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$", re.IGNORECASE)


def chosen(reference: HubFile, names: tuple[str, ...]) -> tuple[str, ...]:
    """Choose the files that a hub reference means.

    Raises:
        UsageError: The repository has none of that quantisation, or no GGUF at all.
        PullError: A name leaves its folder.
    """
    if reference.file:
        return parts_of(reference.file, names) if is_split(reference.file) else (reference.file,)
    quants = quants_of(names)
    if not quants and not reference.quant:
        weights = [name for name in names if name.casefold().endswith(".gguf")]
        found = tuple(weights[:1]) if len(weights) == 1 else ()
    elif not reference.quant and len(quants) == 1:
        found = weights_of(names, quants[0])
    else:
        found = weights_of(names, reference.quant or DEFAULT_QUANT)
    if not found:
        if not any(name.casefold().endswith(".gguf") for name in names):
            raise UsageError(
                f"{reference.repo} has no .gguf file.", hint="Look for owner/NAME-GGUF."
            )
        raise unknown_quant(reference.quant or DEFAULT_QUANT, reference.repo, quants)
    for name in found:
        if not stays_inside(name):
            raise PullError(
                f"{reference.repo} names a file outside of its folder ({name}): refused.",
                hint="Do not trust this repository; choose another one.",
            )
    return found


def projector(names: tuple[str, ...], repo: str) -> str:
    """Choose a repository's vision projector, in F16 where there are several.

    Raises:
        UsageError: It has none.
    """
    found = [name for name in names if "mmproj" in name.casefold() and stays_inside(name)]
    if not found:
        raise UsageError(f"{repo} has no vision projector.", hint="Leave out --vision.")
    return next((name for name in found if (quant_of(name) or "").upper() == "F16"), found[0])


def quant_of(name: str) -> str | None:
    """Read the quantisation from a file's name, as it is written there."""
    match = _NAMED.search(name)
    return match[1] if match else None


def quants_of(names: Sequence[str]) -> tuple[str, ...]:
    """List the quantisations that a repository's files have, in its order."""
    found = (quant_of(name) for name in names if _is_weights(name))
    return tuple(dict.fromkeys(quant for quant in found if quant))


def weights_of(names: Sequence[str], quant: str) -> tuple[str, ...]:
    """Give the files of a quantisation: one, or every part of a split file, in order."""
    wanted = quant.casefold()
    matching = [
        name for name in names if _is_weights(name) and (quant_of(name) or "").casefold() == wanted
    ]
    matching.sort(key=lambda name: (name.count("/"), len(name), name))
    return parts_of(matching[0], names) if matching else ()


def parts_of(name: str, names: Sequence[str]) -> tuple[str, ...]:
    """Give a file with its other parts, where its name says that it is split.

    Raises:
        PullError: The repository lacks a part.
    """
    match = _SPLIT.search(name)
    if not match:
        return (name,)
    count = int(match[2])
    stem = name[: match.start()]
    parts = tuple(f"{stem}-{part:05}-of-{count:05}.gguf" for part in range(1, count + 1))
    for part in parts:
        if part not in names:
            raise PullError(
                f"The repository has no {part}, a part of the file.", hint="Choose another file."
            )
    return parts


def is_split(name: str) -> bool:
    """Tell whether a name is that of one part of a split file."""
    return _SPLIT.search(name) is not None


def stays_inside(name: str) -> bool:
    """Tell whether a file's name stays in the folder that it is written to."""
    parts = name.replace("\\", "/").split("/")
    return not any(part in {"", ".", ".."} or ":" in part or "\0" in part for part in parts)


def _is_weights(name: str) -> bool:
    last = name.rsplit("/", 1)[-1].casefold()
    return last.endswith(".gguf") and "mmproj" not in last and "imatrix" not in last
