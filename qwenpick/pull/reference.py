"""What a MODEL names: a size, a file on this disk, a file on a hub, or the demo.

Asks the disk whether a path exists, and nothing else of the world.
"""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import unquote

from msgspec import Struct

from qwenpick.catalog.model import WIDTHS
from qwenpick.errors import UsageError
from qwenpick.files import shortened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qwenpick.catalog.model import Catalog, Model

DEFAULT_QUANT = "Q4_K_M"
"""What a bare size means where nobody knows the machine: the guide's 4-bit file."""

FORMS = "A model is a size (4b, 9b:Q5_K_M), a .gguf file, owner/repo:Q4_K_M, or demo."
_HUB_HOSTS = r"(?:https?://)?(?:www\.)?(?:hf\.co|huggingface\.co)/"
_HUB_PAGE = r"/(?:blob|resolve|tree|raw)/[^/]+"
_REPO = r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*"
_LONGEST_REPO = 200


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
    if named := _of_catalog(text, catalog):
        return _size(named[0], _one_quant(named[1] or None, quant))
    path = _path(text)
    if path and (text.startswith(("/", ".", "~")) or os.path.lexists(path)):
        return _whole(LocalFile(path=_gguf(path, text)), text, quant)
    return _hub_file(_without_address(text), text, quant, catalog)


def _hub_file(name: str, text: str, quant: str | None, catalog: Catalog) -> Reference:
    """Read a MODEL that is neither a size nor a path of this disk."""
    if name != text and (named := _of_catalog(name, catalog)):
        return _size(named[0], _one_quant(named[1] or None, quant))
    if match := re.fullmatch(rf"({_REPO})/(.+\.gguf)", name, re.IGNORECASE):
        return _whole(HubFile(repo=match[1], file=_inside(match[2])), text, quant)
    shown = shortened(text)
    if name.casefold().endswith(".gguf"):
        raise UsageError(f"There is no file {shown}.", hint=FORMS)
    repo, _, label = name.partition(":")
    if len(repo) <= _LONGEST_REPO and re.fullmatch(_REPO, repo):
        chosen = _one_quant(label or None, quant)
        return HubFile(repo=repo, quant=chosen and WIDTHS.get(chosen.casefold(), chosen))
    sizes = ", ".join(model.size for model in catalog.models)
    raise UsageError(f"There is no model {shown!r}. Sizes: {sizes}.", hint=FORMS)


def _of_catalog(text: str, catalog: Catalog) -> tuple[Model, str] | None:
    """Read a size by any of its names (9b, qwen3.5:9b, Qwen/Qwen3.5-9B), and what follows it."""
    folded = text.casefold().removeprefix("qwen/")
    for model in catalog.models:
        family, _, size = model.name.casefold().rpartition("-")
        for name in (f"{family}-{size}", f"{family}:{size}", model.size.casefold()):
            rest = folded.removeprefix(name)
            if rest == folded or folded.endswith(".gguf"):
                continue
            if not rest or rest == "-gguf":
                return model, ""
            if rest[0] == ":" or (rest[0] == "-" and name != model.size.casefold()):
                return model, text[len(text) - len(rest) + 1 :]
    return None


def _without_address(text: str) -> str:
    """Take a hub's address off a repository or file, as it is copied from a browser."""
    name, found = re.subn(rf"^{_HUB_HOSTS}", "", text, flags=re.IGNORECASE)
    if not found:
        return text
    name = re.sub(_HUB_PAGE, "", name.partition("?")[0].partition("#")[0], count=1)
    return unquote(name).rstrip("/")


def _path(text: str) -> Path | None:
    """Give a text as a path; None where it cannot be one."""
    try:
        path = Path(text).expanduser()
        path.exists()
    except (OSError, RuntimeError, ValueError):  # too long, no such user, a NUL
        return None
    return path if text else None


def unknown_quant(quant: str, of: str, known: Sequence[str]) -> UsageError:
    """Make the error for a quantisation that is not among *known*, with the nearest ones."""
    folded = {name.casefold(): name for name in known}
    near = difflib.get_close_matches(quant.casefold(), folded, n=4, cutoff=0.5)
    names = [folded[name] for name in near] or list(known)
    kind = "Nearest" if near and len(names) < len(known) else "There are"
    return UsageError(f"{of} has no {quant}.", hint=f"{kind}: {', '.join(names)}.")


def _size(model: Model, quant: str | None) -> Size:
    quant = quant and WIDTHS.get(quant.casefold(), quant)
    file = model.file(quant) if quant else None
    if quant and not file:
        raise unknown_quant(quant, model.name, [file.quant for file in model.files])
    return Size(size=model.size, quant=file.quant if file else None)


def _one_quant(named: str | None, chosen: str | None) -> str | None:
    meant = {WIDTHS.get(one.casefold(), one).casefold() for one in (named, chosen) if one}
    if len(meant) > 1:
        raise UsageError(f"More than one quantisation: {named}, {chosen}.", hint="Name one.")
    return named or chosen


def _whole(reference: Reference, text: str, quant: str | None) -> Reference:
    """Give a reference that names one file already, and so takes no quantisation."""
    if quant:
        raise UsageError(f"{text} is one file: {quant} cannot be chosen.", hint="Leave it out.")
    return reference


def _inside(name: str) -> str:
    """Check that a file's name stays in its folder."""
    if any(part in {"", ".", ".."} for part in name.split("/")) or "\\" in name:
        raise UsageError(f"{name} leaves its folder.", hint=FORMS)
    return name


def _gguf(path: Path, text: str) -> Path:
    """Check that a path is a file and is called .gguf; what is in it is the engine's to say."""
    text = shortened(text)
    try:
        if path.is_dir():
            inside = sorted(path.glob("*.gguf"))
            hint = f"Name the file: {inside[0]}" if inside else FORMS
            raise UsageError(f"{text} is a directory, not a .gguf file.", hint=hint)
        if not path.exists():
            raise UsageError(f"There is no file {text}.", hint=FORMS)
    except OSError as error:
        raise UsageError(f"Cannot read {text}: {error.strerror}.", hint=FORMS) from None
    if path.suffix.casefold() != ".gguf":
        raise UsageError(f"{text} is not a GGUF model.", hint=FORMS)
    return path
