"""What the names of a repository's files say: which quantisation, which parts, which projector."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from qwenpick.errors import PullError, UsageError
from qwenpick.pull.reference import DEFAULT_QUANT, unknown_quant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qwenpick.pull.reference import HubFile

_QUANT = (
    r"(?:UD-)?(?:I?Q\d(?:_[A-Z0-9]{1,3})*|TQ\d_\d|MXFP4(?:_MOE)?|NVFP4|BF16|F16|F32|\d\.\d+bpw)"
)
_LABEL = re.compile(rf"(?:^|(?<=[-._/]))({_QUANT})(?=[-._/]|$)", re.IGNORECASE)
_SPLIT = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$", re.IGNORECASE)
_DRAFT = re.compile(r"^(?:mtp|draft|eagle)[-_.]", re.IGNORECASE)
"""A small model that guesses ahead for another one."""
_MOST_PARTS = 1000
_WIDTHS = ("F16", "BF16", "Q8_0", "F32")
"""A projector's, best first: F16 is what llama.cpp's own tools choose."""


def chosen(reference: HubFile, names: Sequence[str]) -> tuple[str, ...]:
    """Choose the files that a hub reference means: one, or all parts of a split one.

    Raises:
        UsageError: The repository has none of that quantisation, or no GGUF at all.
        PullError: A name leaves its folder, or a part is missing.
    """
    if reference.file:
        return parts_of(reference.file, names) if is_split(reference.file) else (reference.file,)
    weights = _weights(names)
    quants = quants_of(names)
    unsplit = [name for name in weights if first_part(name) == name]
    if not reference.quant and len(unsplit) == 1:
        found = parts_of(unsplit[0], names)
    else:
        only = quants[0] if len(quants) == 1 else DEFAULT_QUANT
        found = weights_of(names, reference.quant or only)
    if not found:
        raise _none_of(reference, weights, quants)
    for name in found:
        if not stays_inside(name):
            raise PullError(
                f"{reference.repo} names a file outside of its folder ({name}): refused.",
                hint="Do not trust this repository; choose another one.",
            )
    return found


def _none_of(reference: HubFile, weights: list[str], quants: tuple[str, ...]) -> UsageError:
    repo, quant = reference.repo, reference.quant or DEFAULT_QUANT
    if not weights:
        return UsageError(f"{repo} has no .gguf file.", hint="Look for owner/NAME-GGUF.")
    if not quants:
        shown = ", ".join(weights[:4]) + (", ..." if weights[4:] else "")
        return UsageError(
            f"{repo} has no file named {quant}.", hint=f"Name one: {repo}/FILE, of {shown}"
        )
    return unknown_quant(quant, repo, quants)


def projector(names: Sequence[str], repo: str, model: str = "") -> str:
    """Choose a model's vision projector: by its name, then by its width, F16 first.

    Args:
        names: The files to choose from.
        repo: Where they are, for the message.
        model: The name of the model's file; empty for any.

    Raises:
        UsageError: There is none.
    """
    found = projectors(names, model)
    if not found:
        raise UsageError(f"{repo} has no vision projector.", hint="Leave out --vision.")
    return found[0]


def projectors(names: Sequence[str], model: str = "") -> tuple[str, ...]:
    """List the vision projectors that may belong to a model, the likeliest first.

    One whose name holds another model's is left out: `Qwen3.5-9B-mmproj-F16.gguf` beside a 4B.
    """
    found = [name for name in names if is_projector(name) and stays_inside(name)]
    stem = _stem(model)
    ranked = []
    for name in found:
        named = _stem(name)
        if named and stem and not (stem.startswith(named) or named.startswith(stem)):
            continue
        width = (quant_of(name) or "").upper()
        rank = _WIDTHS.index(width) if width in _WIDTHS else len(_WIDTHS)
        ranked.append((not (named and stem), rank, name))
    return tuple(name for _, _, name in sorted(ranked))


def _stem(name: str) -> str:
    """Give the model's name in a file's name: without quantisation, parts and `mmproj`."""
    last = name.rsplit("/", 1)[-1].casefold()
    last = _SPLIT.sub("", last).removesuffix(".gguf").replace("mmproj", "")
    last = re.sub(r"^model(?=[-._]|$)", "", _LABEL.sub("", last).strip("-._"))
    return re.sub(r"[-._]+", "-", re.sub(r"(?:^|[-._])ud$", "", last)).strip("-")


def is_projector(name: str) -> bool:
    """Tell whether a name is that of a vision projector's file."""
    last = name.rsplit("/", 1)[-1].casefold()
    return "mmproj" in last and last.endswith(".gguf")


def quant_of(name: str) -> str | None:
    """Read the quantisation from a file's name, else from its folder's, as it is written there."""
    labels = _labels(name)
    return next((label for label in labels if not label.casefold().endswith("bpw")), None) or (
        labels[0] if labels else None
    )


def _labels(name: str) -> list[str]:
    """List what a name says of its quantisation, the last first; of the file before its folder."""
    folder, _, last = _SPLIT.sub(".gguf", name).rpartition("/")
    stem = last[: -len(".gguf")] if last.casefold().endswith(".gguf") else last
    return _LABEL.findall(stem)[::-1] or _LABEL.findall(folder)[::-1]


def quants_of(names: Sequence[str]) -> tuple[str, ...]:
    """List the quantisations that a repository's files have, in its order."""
    found = (quant_of(name) for name in _weights(names))
    return tuple(dict.fromkeys(quant for quant in found if quant))


def weights_of(names: Sequence[str], quant: str) -> tuple[str, ...]:
    """Give the files of a quantisation: one, or every part of a split file, in order."""
    wanted = quant.casefold()
    matching = [
        name for name in _weights(names) if wanted in {one.casefold() for one in _labels(name)}
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
    count, stem, listed = int(match[2]), name[: match.start()], set(names)
    parts = tuple(
        f"{stem}-{part:05}-of-{count:05}.gguf" for part in range(1, min(count, _MOST_PARTS) + 1)
    )
    for part in parts:
        if part not in listed:
            raise PullError(f"A part of the model is missing: {part}.", hint="Choose another file.")
    return parts


def first_part(name: str) -> str:
    """Give the name of the first part of a split file; of any other, its own."""
    match = _SPLIT.search(name)
    return f"{name[: match.start()]}-00001-of-{match[2]}.gguf" if match else name


def is_split(name: str) -> bool:
    """Tell whether a name is that of one part of a split file."""
    return _SPLIT.search(name) is not None


def stays_inside(name: str) -> bool:
    """Tell whether a file's name stays in the folder that it is written to."""
    parts = name.replace("\\", "/").split("/")
    return not any(part in {"", ".", ".."} or ":" in part or "\0" in part for part in parts)


def _weights(names: Sequence[str]) -> list[str]:
    """List the models' files: no projector, no importance matrix, no draft beside a model."""
    found = []
    for name in names:
        last = name.rsplit("/", 1)[-1].casefold()
        matrix = "imatrix" in last and not _labels(last)
        if last.endswith(".gguf") and "mmproj" not in last and not matrix:
            found.append(name)
    return [name for name in found if not _DRAFT.match(name.rsplit("/", 1)[-1])] or found
