"""The documents of `--json`: what they share, and where each command's is.

Every document is a Struct, so that its JSON schema comes from it (`msgspec.json.schema`) and what
is printed is encoded from it.
"""

from __future__ import annotations

from importlib import import_module
from typing import Literal, Self

from msgspec import Struct


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


_PLACES = {
    "recommend": "pages.recommend_json:RecommendDocument",
    "guide": "commands.cmd_guide:GuideDocument",
    "probe": "commands.cmd_probe:ProbeDocument",
    "pull": "commands.cmd_pull:PullDocument",
    "chat": "chat.answers:ChatDocument",
    "sessions": "commands.cmd_sessions:SessionsDocument",
    "sessions --remove": "commands.cmd_sessions:RemovedSessions",
    "bench": "commands.cmd_bench:BenchDocument",
    "list": "commands.cmd_list:ListDocument",
    "rm": "commands.cmd_rm:RemoveDocument",
    "verify": "commands.cmd_verify:VerifyDocument",
    "engine": "commands.cmd_engine:EngineDocument",
    "doctor": "commands.cmd_doctor:DoctorDocument",
}
"""A command's words to the module of this room and the name there."""


def documents() -> dict[str, type[Struct]]:
    """Give the document of each command, by the command's words."""
    found = {}
    for command, place in _PLACES.items():
        module, _, name = place.partition(":")
        found[command] = getattr(import_module(f"qwenpick.cli.{module}"), name)
    return found
