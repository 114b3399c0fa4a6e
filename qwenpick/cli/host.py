"""A conversation and what is around it: the model it is with, and where it is kept."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from qwenpick.cli.export import text_of
from qwenpick.cli.eyes import check_room, find_projector
from qwenpick.cli.locate import locate
from qwenpick.cli.opening import Demands, Opened, longer_context, open_model
from qwenpick.cli.output import say
from qwenpick.pull import verify
from qwenpick.run import rates, state
from qwenpick.run import session as sessions
from qwenpick.run.chat import Conversation
from qwenpick.run.constraint import masks
from qwenpick.run.manner import Manner, Speaker
from qwenpick.run.native import version
from qwenpick.run.session import Session

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from qwenpick.pick.settle import Question
    from qwenpick.run.pieces import ImagePiece
    from qwenpick.run.schema import Schema
    from qwenpick.run.vision import Projector


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """How models are opened here, the first one and those that follow."""

    question: Question
    demands: Demands
    keep: bool = True
    """Whether the conversation is kept on disk."""
    schema: Schema | None = None
    """What each answer must meet."""


class ChatHost:
    """Lends a conversation to the terminal, or to `-p`.

    Args:
        opened: The model that is loaded.
        manner: How to answer.
        opening: How another one would be opened.
        session: A kept conversation to go on with, None for a new one.
    """

    def __init__(
        self, opened: Opened, manner: Manner, opening: Opening, session: Session | None = None
    ) -> None:
        self.opening = opening
        self._projector: Projector | None = None
        self.opened, self.label = opened, opened.label
        self.conversation = self._converse(opened, manner)
        self.session = session or self._new()
        if session:
            self._take_over(session)

    def switch(self, model: str) -> None:
        """Load another model, and go on with the same messages."""
        path, size = locate(model, None, self.opening.question)
        before = self.conversation
        before.close()
        self._shut_eyes()
        self.opened.engine.close()
        self.opened = open_model(path, size, self.opening.question, self.opening.demands)
        self.label = self.opened.label
        self.conversation = self._converse(self.opened, before.manner)
        self.conversation.system = before.system
        self.conversation.messages = without_pictures(before.messages)
        self.session.model, self.session.label = str(path), self.label

    def keep(self) -> None:
        """Keep the messages, and the rates that the last turn reached."""
        self.keep_rates()
        conversation, session = self.conversation, self.session
        if not self.opening.keep or not conversation.messages:
            return
        session.system, session.window = conversation.system, conversation.window
        session.messages = list(conversation.messages)
        with self._writing():
            session.save()

    def keep_rates(self) -> None:
        """Keep the rates that the last turn reached: later estimates use them."""
        turn, self.conversation.last = self.conversation.last, None
        found = rates.of_turn(turn) if turn else (None, None)
        if any(found):
            opened = self.opened
            size = opened.model.size if opened.model else None
            with suppress(OSError):  # a home that can't be written to
                rates.keep(
                    opened.path,
                    opened.settings,
                    found,
                    size=size,
                    quant=opened.quant,
                    weight=rates.OF_TURN,
                )

    def save(self, name: str) -> str:
        """Keep it by a name; gives the name."""
        self.session.name = sessions.check_name(name)
        kept, self.opening = self.opening.keep, self._keeping()
        self.keep()
        return name if kept else f"{name} (from now on it is kept)"

    def kept(self) -> Sequence[tuple[str, str]]:
        """Give the kept conversations: name, and what there is to say of each."""
        return [(one.name, f"{one.label}  {one.title[:60]}") for one in sessions.kept()]

    def load(self, name: str) -> None:
        """Go on with a kept conversation, with the model that is loaded."""
        session = sessions.load(name)
        self.conversation.clear()
        self.conversation.pictures.clear()
        self.session = session
        self._take_over(session)

    def begin(self) -> None:
        """Begin a new conversation."""
        self.conversation.clear()
        self.session = self._new()

    def picture(self, path: Path) -> tuple[ImagePiece, str]:
        """Take a picture in; gives it, and a note where it was changed.

        Raises:
            UsageError: It is no picture.
            RunError: There is no projector, or no memory for it.
        """
        if self._projector is None:
            from qwenpick.run.vision import Projector  # noqa: PLC0415 - Pillow costs 60 ms

            opened, question = self.opened, self.opening.question
            file = find_projector(opened.path)
            if not opened.memory.vision and not self.opening.demands.force:
                check_room(file, question.budget.total - opened.memory.total)
            self._projector = Projector(opened.engine, file, threads=opened.settings.threads)
        return self._projector.picture(path)

    def close(self) -> None:
        """Keep what there is to keep, the engine's state too, and free the engine."""
        self.conversation.close()
        self.keep()
        if self.opening.keep and self.conversation.messages:
            with self._writing():
                state.save(self.conversation.reader, self.session.state_path, self._owner())
                sessions.prune()
        self._shut_eyes()
        self.opened.engine.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Go on without keeping anything where the disk is full or can't be written to."""
        try:
            yield
        except OSError as error:
            say(f"This conversation is not kept from here on: {error.strerror}.")
            self.opening = replace(self.opening, keep=False)

    def _converse(self, opened: Opened, manner: Manner) -> Conversation:
        if self.opening.schema:
            manner.mask = masks(self.opening.schema, opened.engine)
        speaker = Speaker(model=opened.model, metadata=opened.file.header.metadata)
        talk = Conversation(opened.engine, speaker, manner, budget=opened.memory.checkpoints)
        if longer := longer_context(opened, self.opening.question):
            again = " --resume" if self.opening.keep else ""
            talk.longer = f"qwenpick chat{again} --context {longer}"
        return talk

    def _shut_eyes(self) -> None:
        if self._projector:
            self._projector.close()
            self._projector = None

    def _take_over(self, session: Session) -> None:
        conversation = self.conversation
        conversation.system = session.system
        conversation.take_up(without_pictures(session.messages), session.window)
        if session.state_path.is_file():
            why = state.load(conversation.reader, session.state_path, self._owner())
            if why:
                say(f"The kept state of {session.name} is not used: {why}. It is read again.")

    def _owner(self) -> state.Owner:
        opened = self.opened
        return state.Owner(
            model=verify.proven(opened.path)
            or state.model_digest(opened.path, opened.file.header.data_offset),
            engine_version=version(),
            kv_type=opened.settings.kv_type,
        )

    def _new(self) -> Session:
        return Session(name=sessions.new_name(), model=str(self.opened.path), label=self.label)

    def _keeping(self) -> Opening:
        return replace(self.opening, keep=True)


def without_pictures(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Put a word where a picture stood: what it was is not kept, and another model sees it anew."""
    return [{**message, "content": text_of(message)} for message in messages]
