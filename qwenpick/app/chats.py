"""A conversation and what is around it: the model it is with, and where it is kept."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from qwenpick.app import rates, state
from qwenpick.app import store as sessions
from qwenpick.app.images import Images, look_at
from qwenpick.app.loader import load, longer_context, prepare
from qwenpick.app.models import remember, resolve
from qwenpick.app.store import Session
from qwenpick.chat.constraint import masks
from qwenpick.chat.conversation import Conversation
from qwenpick.chat.generation_config import GenerationConfig, ModelInfo
from qwenpick.chat.messages import pictures_of
from qwenpick.cli.output import status
from qwenpick.engine.bindings import version
from qwenpick.errors import UsageError
from qwenpick.pull import digests

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from qwenpick.app.loader import LoadedModel, LoadOverrides
    from qwenpick.app.ui import Ui
    from qwenpick.chat.messages import Message
    from qwenpick.chat.schema import Schema
    from qwenpick.engine.chunks import ImageChunk
    from qwenpick.engine.image import Picture
    from qwenpick.pick.fit import PickInput


class ChatOptions(Struct, frozen=True, kw_only=True):
    """How models are opened here, the first one and those that follow."""

    question: PickInput
    demands: LoadOverrides
    keep: bool = True
    """Whether the conversation is kept on disk."""
    schema: Schema | None = None
    """What each answer must meet."""
    ui: Ui


class Chat:
    """Lends a conversation to the terminal, or to `-p`.

    Args:
        opened: The model that is loaded.
        manner: How to answer.
        opening: How another one would be opened.
        session: A kept conversation to go on with, None for a new one.
    """

    def __init__(
        self,
        opened: LoadedModel,
        manner: GenerationConfig,
        opening: ChatOptions,
        session: Session | None = None,
    ) -> None:
        self.opening = opening
        self.opened, self.label = opened, opened.label
        self.album = self._album()
        self.conversation = self._converse(opened, manner)
        self.session = session or self._new()
        if session:
            self._take_over(session)

    def switch(self, model: str) -> None:
        """Load another model, and go on with the same messages."""
        opening = self.opening
        local = resolve(model, None, opening.question, opening.ui)
        prepared = prepare(local, opening.question, opening.demands)
        before = self.conversation
        before.close()
        self.opened.close()
        self.opened = load(prepared, opening.ui)
        if opening.keep:
            remember(local)
        self.label = self.opened.label
        self.conversation = self._converse(self.opened, before.manner)
        self.conversation.system = before.system
        self.conversation.messages = before.messages
        pictures, self.album = self.album.pictures, self._album()
        self.album.pictures = pictures
        self._see_again(before.messages)
        self.session.model, self.session.label = str(local.path), self.label

    def keep(self) -> None:
        """Keep the messages, and the rates that the last turn reached."""
        self.keep_rates()
        conversation, session = self.conversation, self.session
        if not self.opening.keep or not conversation.messages:
            return
        session.system, session.window = conversation.system, conversation.window
        session.messages = list(conversation.messages)
        with self._writing():
            self.album.keep(session, session.messages)
            session.save()

    def keep_rates(self) -> None:
        """Keep the rates that the last turn reached: later estimates use them."""
        turn, self.conversation.last = self.conversation.last, None
        found = rates.of_turn(turn) if turn else (None, None)
        if any(found):
            prepared = self.opened.prepared
            local = prepared.local
            with suppress(OSError):  # a home that can't be written to
                rates.keep(
                    local.path,
                    prepared.settings,
                    found,
                    size=local.size,
                    quant=local.quant or prepared.file.quant,
                    weight=rates.OF_TURN,
                )

    def save(self, name: str) -> str:
        """Keep it, by a name of the person's where one is given; gives the name."""
        kept, self.opening = self.opening.keep, replace(self.opening, keep=True)
        if name:
            self.session.rename(name)
        self.keep()
        if not self.session.name:
            raise UsageError("Nothing was said yet.", hint="Say something, then: /save")
        return self.session.name + ("" if kept else " (from now on it is kept)")

    def kept(self) -> Sequence[tuple[str, str]]:
        """Give the kept conversations: name, and what there is to say of each."""
        return [(one.name, f"{one.label}  {one.title[:60]}") for one in sessions.kept()]

    def load(self, name: str) -> None:
        """Go on with a kept conversation, with the model that is loaded."""
        session = sessions.load(name)
        self.conversation.clear()
        self.session = session
        self._take_over(session)

    def begin(self) -> None:
        """Begin a new conversation."""
        self.conversation.clear()
        self.conversation.pictures.clear()
        self.album.pictures.clear()
        self.session = self._new()

    def picture(self, where: str) -> tuple[ImageChunk, str]:
        """Take a picture in, a file or an address; gives it, and a note where it was changed.

        Raises:
            UsageError: It is no picture.
            PullError: The address can't be reached.
            RunError: There is no projector, or no memory for it.
        """
        picture = look_at(where)
        return self.show(picture), picture.note

    def show(self, picture: Picture) -> ImageChunk:
        """Take a picture in that was looked at already."""
        return self.album.show(picture)

    def close(self) -> None:
        """Keep what there is to keep, the engine's state too, and free the engine."""
        self.conversation.close()
        self.keep()
        if self.opening.keep and self.conversation.messages:
            with self._writing():
                state.save(self.conversation.reader, self.session.state_path, self._owner())
                sessions.prune()
        self.opened.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Go on without keeping anything where the disk is full or can't be written to."""
        try:
            yield
        except OSError as error:
            status(f"This conversation is not kept from here on: {error.strerror}.")
            self.opening = replace(self.opening, keep=False)

    def _converse(self, opened: LoadedModel, manner: GenerationConfig) -> Conversation:
        if self.opening.schema:
            manner.mask = masks(self.opening.schema, opened.engine)
        prepared = opened.prepared
        speaker = ModelInfo(model=prepared.local.model, metadata=prepared.file.header.metadata)
        talk = Conversation(opened.engine, speaker, manner, budget=prepared.memory.checkpoints)
        if longer := longer_context(prepared):
            again = " --resume" if self.opening.keep else ""
            talk.longer = f"qwenpick chat{again} --context {longer}"
        return talk

    def _album(self) -> Images:
        return Images(self.opened)

    def _take_over(self, session: Session) -> None:
        conversation = self.conversation
        conversation.system = session.system
        self.album.take_over(session)
        self._see_again(session.messages)
        conversation.take_up(list(session.messages), session.window)
        if session.state_path.is_file():
            why = state.load(conversation.reader, session.state_path, self._owner())
            if why:
                status(f"The kept state of {session.name} is not used: {why}. It is read again.")

    def _see_again(self, messages: Sequence[Message]) -> None:
        """Show the pictures of messages to the model, and say which it can't see."""
        shown, why = self.album.again(messages)
        self.conversation.pictures = shown
        if why:
            status(why)

    def _owner(self) -> state.Owner:
        prepared = self.opened.prepared
        path = prepared.local.path
        eyes = self.album.projector if self._sees() else None
        return state.Owner(
            model=digests.cached_sha256(path)
            or state.model_digest(path, prepared.file.header.data_offset),
            engine_version=version(),
            kv_type=prepared.settings.kv_type,
            projector=state.model_digest(eyes, 0) if eyes else None,
        )

    def _sees(self) -> bool:
        """Whether there is a picture that the model sees in what was said."""
        pictures, messages = self.conversation.pictures, self.conversation.messages
        return any(key in pictures for message in messages for key in pictures_of(message))

    def _new(self) -> Session:
        return Session(name="", model=str(self.opened.prepared.local.path), label=self.label)
