"""What a MODEL on the command line names: a size, a file here, a file on a hub, or the demo.

Asks the disk whether a path is there, and nothing else of the world.
"""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct

from qwenpick.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qwenpick.catalog.model import Catalog, Model

DEFAULT_QUANT = "Q4_K_M"
"""What a bare size means where nobody knows the machine: the guide's 4-bit file."""

FORMS = "A model is a size (4b, 9b:Q5_K_M), a .gguf file, owner/repo:Q4_K_M, or demo."
_REPO = r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*"
_HEAD_BYTES = 24


class Size(Struct, frozen=True, kw_only=True):
    """A size of the catalogue; `quant` in its spelling, None where none was named."""

    size: str
    quant: str | None = None


class LocalFile(Struct, frozen=True, kw_only=True):
    """A .gguf file that is on this disk."""

    path: Path


class HubFile(Struct, frozen=True, kw_only=True):
    """A file of a repository: by its name, or by its quantisation (None: the default one)."""

    repo: str
    quant: str | None = None
    file: str | None = None


class Demo(Struct, frozen=True):
    """The small model that the `demo` extra brings."""


Reference: TypeAlias = Size | LocalFile | HubFile | Demo


def parse(text: str, quant: str | None, catalog: Catalog) -> Reference:
    """Read a MODEL.

    Args:
        text: As it was typed; sizes and quantisations in any case.
        quant: What `--quant` or a width such as `--q4` named.
        catalog: Which sizes and quantisations there are.

    Raises:
        UsageError: There is no such size, quantisation or file; it is a directory, or no
            .gguf; or two quantisations were named.
    """
    if text.casefold() == "demo":
        return _whole(Demo(), text, quant)
    name, _, named = text.partition(":")
    if model := catalog.model(name):
        return _size(model, _one_quant(named or None, quant))
    path = Path(text).expanduser()
    if (text and path.exists()) or text.startswith(("/", ".", "~")):
        return _whole(LocalFile(path=_gguf(path, text)), text, quant)
    if match := re.fullmatch(rf"({_REPO})/(.+\.gguf)", text, re.IGNORECASE):
        return _whole(HubFile(repo=match[1], file=_inside(match[2])), text, quant)
    if text.casefold().endswith(".gguf"):
        raise UsageError(f"There is no file {text}.", hint=FORMS)
    if re.fullmatch(_REPO, name):
        return HubFile(repo=name, quant=_one_quant(named or None, quant))
    sizes = ", ".join(model.size for model in catalog.models)
    raise UsageError(f"There is no model {text!r}. Sizes: {sizes}.", hint=FORMS)


def unknown_quant(quant: str, of: str, known: Sequence[str]) -> UsageError:
    """Make the error for a quantisation that is not among *known*, with the nearest ones."""
    folded = {name.casefold(): name for name in known}
    near = difflib.get_close_matches(quant.casefold(), folded, n=4, cutoff=0.5)
    names = [folded[name] for name in near] or list(known)
    kind = "Nearest" if near and len(names) < len(known) else "There are"
    return UsageError(f"{of} has no {quant}.", hint=f"{kind}: {', '.join(names)}.")


def _size(model: Model, quant: str | None) -> Size:
    file = model.file(quant) if quant else None
    if quant and not file:
        raise unknown_quant(quant, model.name, [file.quant for file in model.files])
    return Size(size=model.size, quant=file.quant if file else None)


def _one_quant(named: str | None, chosen: str | None) -> str | None:
    if named and chosen and named.casefold() != chosen.casefold():
        raise UsageError(f"More than one quantisation: {named}, {chosen}.", hint="Name one.")
    return named or chosen


def _whole(reference: Reference, text: str, quant: str | None) -> Reference:
    """Give a reference that names one file already, and so takes no quantisation."""
    if quant:
        raise UsageError(f"{text} is one file, so {quant} can't be chosen.", hint="Leave it out.")
    return reference


def _inside(name: str) -> str:
    """Check that a file's name stays in its folder."""
    if any(part in {"", ".", ".."} for part in name.split("/")) or "\\" in name:
        raise UsageError(f"{name} leaves its folder.", hint=FORMS)
    return name


def _gguf(path: Path, text: str) -> Path:
    """Check that a path is a file and is called .gguf; what is in it is the engine's to say."""
    if path.is_dir():
        inside = sorted(path.glob("*.gguf"))
        hint = f"Name the file: {inside[0]}" if inside else FORMS
        raise UsageError(f"{text} is a directory, not a .gguf file.", hint=hint)
    if not path.exists():
        raise UsageError(f"There is no file {text}.", hint=FORMS)
    if path.suffix.casefold() != ".gguf":
        raise UsageError(f"{text} is not a GGUF model{_beginning(path)}.", hint=FORMS)
    return path


def _beginning(path: Path) -> str:
    """Say what a file starts with, where that can be read."""
    try:
        with path.open("rb") as file:
            words = file.read(_HEAD_BYTES).decode(errors="replace").split()
    except OSError:
        return ""
    return f' (it starts with "{words[0]}")' if words and words[0].isprintable() else ""
