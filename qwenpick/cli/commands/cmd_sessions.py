"""The saved conversations: `sessions`, which lists and removes them."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Annotated

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
    label: str
    """What its model is called."""
    messages: int
    updated: dt.datetime
    """ISO 8601, with its offset from UTC."""
    state_bytes: int | None
    """Of the engine's state; null where none is saved."""


class SessionsDocument(Document, frozen=True, kw_only=True):
    """What `sessions --json` prints."""

    sessions: list[SavedSession]
    broken: list[Broken]

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
        saved = [_saved(session) for session in good]
        emit(SessionsDocument(sessions=saved, broken=broken), as_json=as_json)
        return
    names = list(dict.fromkeys(remove))
    ui = TerminalUi(yes=yes)
    for name in names:
        ui.status(f"  {name}: {store.about(name)}")
    if ui.confirm(f"Remove {', '.join(names)} for good?", default=False):
        for name in names:
            store.remove(name)
        emit(RemovedSessions(removed=names), as_json=as_json)


def _saved(session: Session) -> SavedSession:
    from qwenpick.app.store import state_path

    state = state_path(session.name)
    return SavedSession(
        name=session.name,
        title=session.title,
        model=session.model,
        label=session.label,
        messages=len(session.messages),
        updated=session.updated.replace(microsecond=0),
        state_bytes=state.stat().st_size if state.is_file() else None,
    )
