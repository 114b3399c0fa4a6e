"""The kept conversations: `sessions`, which lists and removes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from msgspec import Struct

from qwenpick.cli.options import Json, Yes  # noqa: TC001 - typer reads it
from qwenpick.cli.output import ask, emit, status

if TYPE_CHECKING:
    from qwenpick.app.store import Session


class SessionsResult(Struct, frozen=True):
    """The kept conversations, the last used first."""

    sessions: list[Session]

    def to_json(self) -> dict[str, Any]:
        """Give the document of `sessions --json`."""
        return {
            "sessions": [
                {
                    "name": one.name,
                    "title": one.title,
                    "model": one.model,
                    "messages": len(one.messages),
                    "updated": one.updated,
                    "state_bytes": _size(one),
                }
                for one in self.sessions
            ]
        }

    def render(self) -> None:
        """Show them to a person."""
        from qwenpick.cli import render

        out = render.console()
        if not self.sessions:
            out.print("No conversation is kept yet. Start one: qwenpick chat")
            return
        rows = [
            (one.name, one.updated[:16].replace("T", " "), one.label, one.title[:40])
            for one in self.sessions
        ]
        render.columns(out, ("name", "last used", "model", "begins with"), rows)


class Removed(Struct, frozen=True):
    """Conversations that are not there any more."""

    names: list[str]

    def to_json(self) -> dict[str, Any]:
        """Give the document of `sessions --remove NAME --json`."""
        return {"removed": self.names}

    def render(self) -> None:
        """Nothing is left to say: it was asked for by name."""


def sessions(
    remove: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Remove this one, after a question."),
    ] = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """List the kept conversations; chat --session NAME goes on with one."""
    from qwenpick.app import store

    if not remove:
        emit(SessionsResult(store.kept()), as_json=as_json)
        return
    names = list(dict.fromkeys(remove))
    for name in names:
        status(f"  {name}: {store.about(name)}")
    if ask(f"Remove {', '.join(names)} for good?", yes=yes, default=False):
        for name in names:
            store.remove(name)
        emit(Removed(names), as_json=as_json)


def _size(session: Session) -> int | None:
    return session.state_path.stat().st_size if session.state_path.is_file() else None
