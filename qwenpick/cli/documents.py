"""The documents of `--json`: what they share.

Every document is a Struct, so that its JSON schema comes from it (`msgspec.json.schema`) and what
is printed is encoded from it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from msgspec import Struct

if TYPE_CHECKING:
    from qwenpick.app.local_model import LocalModel


class Document(Struct, frozen=True, kw_only=True):
    """One JSON document; a result that is printed as it is."""

    schema: Literal[1] = 1

    def document(self) -> Self:
        """Give itself."""
        return self


class Part(Struct, frozen=True, kw_only=True):
    """A part of a document."""


class ModelDocument(Part, frozen=True, kw_only=True):
    """Which model a document is about."""

    path: str
    size: str | None
    """Of the catalogue's models; null of any other."""
    quant: str | None

    @classmethod
    def of(cls, local: LocalModel) -> Self:
        """Name a model's file."""
        return cls(path=str(local.path), size=local.size, quant=local.quant)
