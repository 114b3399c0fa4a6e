"""The kept conversations: `sessions`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qwenpick.cli.options import Json  # noqa: TC001 - typer reads it
from qwenpick.cli.output import emit

if TYPE_CHECKING:
    from qwenpick.run.session import Session


@dataclass(frozen=True, slots=True)
class Kept:
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

    def page(self) -> None:
        """Show them to a person."""
        from qwenpick.cli import render  # noqa: PLC0415 - rich costs 40 ms

        out = render.console()
        if not self.sessions:
            out.print("No conversation is kept yet. Start one: qwenpick chat")
            return
        rows = [
            (one.name, one.updated[:16].replace("T", " "), one.label, one.title[:40])
            for one in self.sessions
        ]
        render.columns(out, ("name", "last used", "model", "begins with"), rows)


def sessions(as_json: Json = False) -> None:
    """List the kept conversations; chat --session NAME goes on with one."""
    from qwenpick.run.session import kept  # noqa: PLC0415 - not needed for --help

    emit(Kept(kept()), as_json=as_json)


def _size(session: Session) -> int | None:
    return session.state_path.stat().st_size if session.state_path.is_file() else None
