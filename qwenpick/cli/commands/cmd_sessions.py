"""The saved conversations: `sessions`, which lists and removes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from msgspec import Struct

from qwenpick.app.store import Broken
from qwenpick.cli.documents import Document, Part
from qwenpick.cli.options import Json, Yes, option
from qwenpick.cli.output import emit

if TYPE_CHECKING:
    from qwenpick.app.store import Session


class SavedSession(Part, frozen=True, kw_only=True):
    """A saved conversation."""

    name: str
    title: str
    """The first message, in a line."""
    model: str
    """The path of its model's file."""
    messages: int
    updated: str
    """ISO 8601, with its offset from UTC."""
    state_bytes: int | None
    """Of the engine's state; null where none is saved."""


class SessionsDocument(Document, frozen=True, kw_only=True):
    """What `sessions --json` prints."""

    sessions: list[SavedSession]
    broken: list[Broken]


class SessionsResult(Struct, frozen=True, kw_only=True):
    """The saved conversations, the last used first, and those whose file is broken."""

    sessions: list[Session]
    broken: list[Broken]

    def document(self) -> SessionsDocument:
        """Give what `sessions --json` prints."""
        saved = [
            SavedSession(
                name=one.name,
                title=one.title,
                model=one.model,
                messages=len(one.messages),
                updated=one.updated.isoformat(timespec="seconds"),
                state_bytes=_state_bytes(one.name),
            )
            for one in self.sessions
        ]
        return SessionsDocument(sessions=saved, broken=self.broken)

    def render(self) -> None:
        """Show them to a person."""
        from qwenpick.cli import render

        out = render.console()
        if self.sessions:
            rows = [
                (one.name, f"{one.updated.astimezone():%Y-%m-%d %H:%M}", one.label, one.title[:40])
                for one in self.sessions
            ]
            render.columns(out, ("name", "last used", "model", "begins with"), rows)
        elif not self.broken:
            out.print("There are no saved conversations. Start one: qwenpick chat")
        for one in self.broken:
            out.print(f"{one.name} is broken: {one.problem}", soft_wrap=True)
            out.print(f"Remove it: qwenpick sessions --remove {one.name}", soft_wrap=True)


class RemovedSessions(Document, frozen=True, kw_only=True):
    """What `sessions --remove NAME --json` prints."""

    removed: list[str]

    def render(self) -> None:
        """Nothing is left to say: it was asked for by name."""


def sessions(
    remove: Annotated[list[str] | None, option("NAME", "Remove this conversation.")] = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """List or remove saved conversations."""
    from qwenpick.app import store
    from qwenpick.cli.ui import TerminalUi

    if not remove:
        good, broken = store.listed()
        emit(SessionsResult(sessions=good, broken=broken), as_json=as_json)
        return
    names = list(dict.fromkeys(remove))
    ui = TerminalUi(yes=yes)
    for name in names:
        ui.status(f"  {name}: {store.about(name)}")
    if ui.confirm(f"Remove {', '.join(names)} for good?", default=False):
        for name in names:
            store.remove(name)
        emit(RemovedSessions(removed=names), as_json=as_json)


def _state_bytes(name: str) -> int | None:
    from qwenpick.app.store import state_path

    path = state_path(name)
    return path.stat().st_size if path.is_file() else None
