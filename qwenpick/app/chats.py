"""A chat: one conversation, the model that answers it, and the session in which it is saved.

The conversation is a frozen value, the `Session`. A turn works on a copy, which takes its place
when the turn has finished; so what fails, or is stopped before there is an answer, changes nothing.
A chat prints nothing: turns are events, and everything else is said through its `Ui`.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from qwenpick.app import images, loader, models, rates, state, store
from qwenpick.chat.chat_model import ChatModel
from qwenpick.chat.events import Finished, Notice
from qwenpick.chat.generation_config import ModelInfo
from qwenpick.chat.messages import Message
from qwenpick.engine.engine import Stop
from qwenpick.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from qwenpick.app.loader import LoadedModel, Prepared
    from qwenpick.app.ui import Ui
    from qwenpick.chat.events import Event, Turn
    from qwenpick.chat.generation_config import GenerationConfig
    from qwenpick.engine.chunks import ImageChunk
    from qwenpick.engine.image import DecodedImage


class ChatOptions(Struct, frozen=True, kw_only=True):
    """What a chat does beside answering."""

    save: bool = True
    """Whether the conversation, and the rates of its turns, are saved."""
    prefill_ahead: bool = True
    """Whether the next prompt is pre-processed while nobody waits."""


class Chat:
    """One conversation with one model at a time.

    Args:
        loaded: The model; the chat closes it.
        config: How to answer.
        options: What to do beside answering.
        ui: Told what happens beside the turns.
        session: A saved conversation to continue, None for a new one.

    Attributes:
        session: The conversation now: system prompt, messages, where it is saved.
        images: Its images, as the model sees them.
        loaded: The model now.
        model: What answers with it.
        config: How it answers.
        last_turn: How the last turn went, None before there is one.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        config: GenerationConfig,
        options: ChatOptions,
        ui: Ui,
        session: store.Session | None = None,
    ) -> None:
        self.config = config
        self.last_turn: Turn | None = None
        self._ui, self._options, self._saving = ui, options, options.save
        self._turns: list[Turn] = []
        self._attempt, self._stop = 0, Stop()
        self.session, self.images = store.Session(model=""), images.Images()
        self._use(loaded)
        if session:
            self._continue(session)

    @property
    def messages(self) -> tuple[Message, ...]:
        """All messages after the system prompt."""
        return self.session.messages

    # Turns: the events of each end with Finished, and only then the conversation changes

    def send(self, text: str, shown: Sequence[ImageChunk] = ()) -> Iterator[Event]:
        """Send a message, with images before its text."""
        keys = tuple(chunk.key for chunk in shown)
        return self._turn((*self.messages, Message(role="user", content=text, images=keys)))

    def regenerate(self) -> Iterator[Event]:
        """Answer the last message again, with other draws; stopped, the old answer stays."""
        asked = self.messages[: self._last_question() + 1]
        return self._turn(asked, attempt=self._attempt + 1, replaces=True)

    def edit(self, text: str, shown: Sequence[ImageChunk] = ()) -> Iterator[Event]:
        """Replace the last message's text, and add images; stopped, it and its answer stay."""
        last = self._last_question()
        old = self.messages[last]
        keys = (*old.images, *(chunk.key for chunk in shown))
        asked = (*self.messages[:last], replace(old, content=text, images=keys))
        return self._turn(asked, replaces=True)

    def submit_tool_results(self, results: Mapping[str, str]) -> Iterator[Event]:
        """Answer the tool calls of the last message.

        Args:
            results: A text for each call, by its id.

        Raises:
            UsageError: The last message calls no tool, or other ones.
        """
        calls = self.messages[-1].tool_calls if self.messages else ()
        if not calls or {call.id for call in calls} != set(results):
            raise UsageError("The results do not belong to the last message's tool calls.")
        told = (Message(role="tool", content=results[one.id], tool_call_id=one.id) for one in calls)
        return self._turn((*self.messages, *told))

    def stop(self) -> None:
        """End the turn under way; for signal handlers and other threads."""
        self._stop.set()

    def _turn(
        self, asked: tuple[Message, ...], *, attempt: int = 0, replaces: bool = False
    ) -> Iterator[Event]:
        """Begin a turn: from now on `stop` ends it."""
        self._stop = Stop()
        return self._events(replace(self.session, messages=asked), attempt, replaces=replaces)

    def _events(self, asked: store.Session, attempt: int, *, replaces: bool) -> Iterator[Event]:
        for event in self.model.answer(
            _with_system(asked),
            self.config,
            images=self.images.chunks,
            first_visible=asked.first_visible,
            attempt=attempt,
            stop=self._stop,
        ):
            if isinstance(event, Finished):
                kept = not (replaces and event.turn.finish == "interrupted")
                if not kept:
                    yield Notice("Stopped: the last message and its answer are unchanged.")
                elif event.first_visible > asked.first_visible:
                    yield from self._longer()
                if line := self._finish(asked, event, attempt, kept=kept):
                    yield Notice(line)
            yield event

    def _longer(self) -> Iterator[Notice]:
        """Say what to type for a longer context, where one fits."""
        if context := loader.longer_context(self.loaded.prepared):
            again = " --resume" if self._saving else ""
            yield Notice(f"A longer context fits: qwenpick chat{again} --context {context}")

    def _finish(self, asked: store.Session, event: Finished, attempt: int, *, kept: bool) -> str:
        """Replace the conversation, and save it; returns what to tell of that."""
        self.last_turn = event.turn
        self._turns.append(event.turn)
        if kept and event.message:
            messages = (*asked.messages, event.message)
            self._attempt = attempt
            self.session = replace(asked, messages=messages, first_visible=event.first_visible)
        self.prefill_ahead()
        return self._save()

    # Changes of the conversation

    def undo(self) -> str:
        """Remove the last message and its answer; returns the message's text."""
        last = self._last_question()
        text = self.messages[last].content
        visible = min(self.session.first_visible, last)
        self._replace(replace(self.session, messages=self.messages[:last], first_visible=visible))
        if line := self._save():
            self._ui.status(line)
        return text

    def clear(self) -> None:
        """Start a new conversation; the system prompt stays."""
        self._replace(store.Session(model="", system=self.session.system))
        self.images = images.Images()

    def set_system(self, text: str | None) -> None:
        """Set the system prompt, or remove it."""
        self._replace(replace(self.session, system=text))

    def set_config(self, **changes: object) -> None:
        """Change fields of the config, for the turns that follow."""
        self.config = replace(self.config, **changes)

    def show_image(self, image: DecodedImage | str) -> ImageChunk:
        """Let the model see an image, and give what `send` takes.

        Args:
            image: Decoded, or a path or address; then the ui is told its size and changes.

        Raises:
            UsageError: It is missing, or is not an image.
            PullError: The address cannot be reached.
            RunError: There is no projector, or no memory for it.
        """
        if not isinstance(image, str):
            return self.images.show(image, self.loaded)
        decoded = images.read_image(image)
        chunk = self.images.show(decoded, self.loaded)
        note = f"; {decoded.note}" if decoded.note else ""
        self._ui.status(f"{images.name_of(image)}: {chunk.n_tokens:,} tokens{note}")
        return chunk

    def prefill_ahead(self) -> None:
        """Pre-process what the next prompt will begin with, where that is wanted."""
        if self._options.prefill_ahead:
            self.model.prefill_ahead(
                _with_system(self.session),
                self.config,
                images=self.images.chunks,
                first_visible=self.session.first_visible,
                next_role="tool" if self.messages and self.messages[-1].tool_calls else "user",
            )

    # Models

    def replace_model(self, name: str) -> None:
        """Continue with another model; whatever fails, the old one answers on.

        The new one is loaded before the old is closed where the memory holds both. Where it does
        not, the old one is closed first, and loaded again if the new one cannot be.

        Raises:
            QwenpickError: There is no such model, it does not fit, or it cannot be loaded.
        """
        old = self.loaded
        question, overrides = old.prepared.question, old.prepared.overrides
        local = models.resolve(name, None, question, self._ui)
        prepared = loader.prepare(local, question, overrides)
        self.model.stop_prefill()
        if _both_fit(old.prepared, prepared):
            loaded = loader.load(prepared, self._ui)
            self._close_model()
        else:
            self._close_model()
            try:
                loaded = loader.load(prepared, self._ui)
            except BaseException:  # also Ctrl-C: the chat goes on
                self._ui.status(f"Loading {old.label} again.")
                self._use(loader.load(old.prepared, self._ui))
                raise
        self._use(loaded)
        if self._saving:
            models.remember(local)

    def _use(self, loaded: LoadedModel) -> None:
        self.loaded, prepared = loaded, loaded.prepared
        info = ModelInfo(model=prepared.local.model, metadata=prepared.file.header.metadata)
        room = prepared.memory.checkpoints
        self.model = ChatModel(loaded.engine, info, checkpoint_bytes=room)
        path, label = str(prepared.local.path), loaded.label
        self._held = {"model": path, "label": label, "context": self.model.n_ctx}
        self._see(self.images)

    def _close_model(self) -> None:
        """Free the engine, once the rates of its turns are saved."""
        turns, self._turns = self._turns, []
        if self._saving:
            with suppress(OSError):  # a home that cannot be written to
                rates.keep_turns(self.loaded.prepared, turns)
        self.model.close()
        self.loaded.close()

    # Sessions

    def save_as(self, name: str) -> str:
        """Save the conversation from now on, under *name* unless that is empty; returns its name.

        Raises:
            UsageError: There is nothing to save, the name cannot be used, or the disk refuses.
        """
        if not self.messages:
            raise UsageError("There is nothing to save yet.", hint="Send a message, then: /save")
        try:
            if name:
                self.session = store.rename(self.session, name)
            if line := self._write():
                self._ui.status(line)
        except OSError as error:
            raise UsageError(f"Cannot save this conversation: {error.strerror}.") from None
        self._saving = True
        return self.session.name

    def restore(self, name: str) -> None:
        """Continue a saved conversation, with the model that is loaded.

        Raises:
            UsageError: There is none of this name, or it is broken.
        """
        self._continue(store.load(name))

    def close(self) -> None:
        """Save the engine's state, and free the engine."""
        try:
            self.model.stop_prefill()
            if self._saving and self.session.name and self._turns:
                place = store.state_path(self.session.name)
                state.save(self.model.prefix_cache, place, self._owner())
                store.prune()
        except OSError as error:
            self._ui.status(f"Cannot save the state of this conversation: {error.strerror}.")
        finally:
            self._close_model()

    def _continue(self, session: store.Session) -> None:
        saved = images.saved(session)
        longer = 0 < session.context < self.model.n_ctx
        self._replace(replace(session, first_visible=0) if longer else session)
        self._see(saved)
        place = store.state_path(session.name)
        if place.is_file() and (why := state.load(self.model.prefix_cache, place, self._owner())):
            self._ui.status(f"The saved state of {session.name} is not used: {why}.")

    def _replace(self, session: store.Session) -> None:
        self.model.stop_prefill()
        if session.name != self.session.name:
            self.last_turn, self._attempt = None, 0
        self.session = session

    def _see(self, shown: images.Images) -> None:
        self.images, why = shown.shown_to(self.loaded, self.session.image_keys)
        if why:
            self._ui.status(why)

    def _owner(self) -> state.Owner:
        seen = any(key in self.images.chunks for key in self.session.image_keys)
        return state.owner_of(self.loaded, sees=seen)

    def _save(self) -> str:
        """Save the conversation, where it is saved; returns what to tell of that."""
        if not (self._saving and (self.messages or self.session.name)):
            return ""
        try:
            return self._write()
        except OSError as error:  # the chat goes on without saving
            self._saving = False
            return f"Cannot save this conversation any more: {error.strerror}."

    def _write(self) -> str:
        before = self.session.name
        self.session = store.save(replace(self.session, **self._held), self.images.png)
        if not before or self.session.name == before:
            return ""
        return (
            f"{before} was changed by another qwenpick meanwhile; "
            f"this conversation is saved as {self.session.name}."
        )

    def _last_question(self) -> int:
        found = [at for at, message in enumerate(self.messages) if message.role == "user"]
        if not found:
            raise UsageError("There is no message yet.")
        return found[-1]


def _with_system(session: store.Session) -> list[Message]:
    first = [Message(role="system", content=session.system)] if session.system else []
    return [*first, *session.messages]


def _both_fit(old: Prepared, new: Prepared) -> bool:
    """Tell whether memory holds two models at once; on a card, that is not tried."""
    if old.memory.devices or new.memory.devices:
        return False
    return old.memory.total + new.memory.total <= old.question.budget.total
