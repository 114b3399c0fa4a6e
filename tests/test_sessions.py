"""What a chat holds and saves: whatever fails, nothing that was said is lost or overwritten."""

from __future__ import annotations

import json
import os
import signal
import stat
from typing import TYPE_CHECKING

import chatting
import engines
import pytest
from chatting import finish

from qwenpick.app import store
from qwenpick.chat.events import Notice
from qwenpick.cli.main import main
from qwenpick.errors import QwenpickError, RunError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

LONG = "The sun " * 900


def write_session(home: Path, name: str, text: str) -> Path:
    folder = home / "home" / "sessions" / name
    folder.mkdir(parents=True)
    (folder / "messages.json").write_text(text, encoding="utf-8")
    return folder


def said(*texts: str) -> str:
    messages = [
        {"role": "assistant" if number % 2 else "user", "content": text}
        for number, text in enumerate(texts)
    ]
    return json.dumps({"model": str(engines.tiny()), "label": "tiny", "messages": messages})


# The conversation


@pytest.mark.parametrize("how", ["edit", "send"])
def test_a_turn_that_fails_changes_nothing(how: str) -> None:
    chat = chatting.chat(context=512)
    finish(chat.send("one"))
    before = chat.messages
    with pytest.raises(RunError):
        finish(getattr(chat, how)(LONG))
    assert chat.messages == before
    assert store.latest().messages == before
    chat.close()


@pytest.mark.parametrize("how", ["edit", "regenerate"])
def test_replacing_an_answer_and_stopping_keeps_the_old_one(how: str) -> None:
    chat = chatting.chat(max_tokens=200)
    chat.set_config(max_tokens=8)
    finish(chat.send("one"))
    before = chat.messages
    chat.set_config(max_tokens=400)
    events = chat.edit("two") if how == "edit" else chat.regenerate()
    written = 0
    for event in events:
        written += type(event).__name__ == "Answer"
        if written == 3:
            chat.stop()
    assert event.turn.finish == "interrupted"
    assert chat.messages == before
    chat.set_config(max_tokens=8)
    finish(chat.edit("two") if how == "edit" else chat.regenerate())
    assert len(chat.messages) == 2
    assert (chat.messages != before) == (how == "edit")
    chat.close()


def test_an_answer_that_is_stopped_is_kept_as_far_as_it_came() -> None:
    chat = chatting.chat(max_tokens=400)
    for event in chat.send("one"):
        if type(event).__name__ == "Answer":
            chat.stop()
    question, answer = chat.messages
    assert (question.content, bool(answer.content)) == ("one", True)
    chat.close()


def test_a_stop_belongs_to_its_turn() -> None:
    chat = chatting.chat()
    stopped = chat.send("one")
    chat.stop()
    assert finish(stopped).finish == "interrupted"
    assert chat.messages == ()
    assert finish(chat.send("two")).finish == "length"
    chat.close()


@pytest.mark.parametrize("name", ["nosuch", "broken.gguf", "nobody/nothing:Q4_K_M"])
def test_a_model_that_cannot_be_used_leaves_the_old_one(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.gguf").write_bytes(engines.tiny().read_bytes()[:5000])
    chat = chatting.chat()
    before = finish(chat.send("one"))
    with pytest.raises(QwenpickError):
        chat.replace_model(name)
    assert finish(chat.regenerate()).reply == before.reply
    chat.close()


class Impatient(chatting.Listener):
    """Presses Ctrl-C while the second model loads."""

    loads = 0

    def progress(self, _name: str, done: int, total: int) -> None:
        if done == total:
            self.loads += 1
        elif self.loads == 1:
            os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_while_another_model_loads_leaves_the_old_one() -> None:
    chat = chatting.chat(ui=Impatient())
    before = finish(chat.send("one"))
    with pytest.raises(KeyboardInterrupt):
        chat.replace_model(str(engines.smollm2()))
    assert finish(chat.regenerate()).reply == before.reply
    chat.replace_model(str(engines.smollm2()))
    finish(chat.send("two"))
    assert [message.role for message in chat.messages] == ["user", "assistant"] * 2
    chat.close()


# What is saved


def test_every_turn_is_saved_as_it_ends(own_home: Path) -> None:
    chat = chatting.chat()
    finish(chat.send("one"))
    (path,) = own_home.glob("home/sessions/*/messages.json")
    for _ in chat.send("two"):
        assert len(json.loads(path.read_text())["messages"]) in {2, 4}
    assert [one["content"] for one in json.loads(path.read_text())["messages"]][::2] == [
        "one", "two",
    ]  # fmt: skip
    chat.close()


def test_a_save_that_fails_saves_nothing_from_then_on(own_home: Path) -> None:
    chat = chatting.chat(save=False)
    finish(chat.send("one"))
    with pytest.raises(UsageError):
        chat.save_as("x/y")
    finish(chat.send("two"))
    chat.close()
    assert not list(own_home.glob("home/**/*"))


def test_a_save_that_works_saves_from_then_on() -> None:
    chat = chatting.chat(save=False)
    finish(chat.send("one"))
    assert chat.save_as("mine") == "mine"
    finish(chat.send("two"))
    chat.close()
    assert len(store.load("mine").messages) == 4


def test_a_save_says_why_the_disk_refuses(own_home: Path) -> None:
    (own_home / "home").mkdir()
    (own_home / "home" / "sessions").write_text("no folder")
    chat = chatting.chat(save=False)
    finish(chat.send("one"))
    with pytest.raises(UsageError, match=r"Cannot save this conversation: (File exists|Not a dir)"):
        chat.save_as("")
    chat.close()


def test_two_chats_on_one_session_lose_no_turn() -> None:
    first = chatting.chat()
    finish(first.send("why is the sky blue"))
    second = chatting.chat(session=store.latest())
    finish(first.send("said in the first"))
    told = [event.text for event in second.send("said in the second") if isinstance(event, Notice)]
    finish(second.send("and again"))
    first.close()
    second.close()
    texts = {
        session.name: [one.content for one in session.messages if one.role == "user"]
        for session in store.listed()[0]
    }
    assert texts == {
        "why-is-the-sky-blue": ["why is the sky blue", "said in the first"],
        "why-is-the-sky-blue-2": ["why is the sky blue", "said in the second", "and again"],
    }
    assert told == [
        (
            "why-is-the-sky-blue was changed by another qwenpick meanwhile; "
            "this conversation is saved as why-is-the-sky-blue-2."
        )
    ]


def test_states_of_several_chats_on_one_session_are_replaced_whole() -> None:
    first = chatting.chat()
    finish(first.send("The sun " * 50))
    first.close()
    chats = [chatting.chat(session=store.latest()) for _ in range(3)]
    for number, chat in enumerate(chats):
        finish(chat.send(f"{number} " + "The moon " * 20 * number))
        chat.close()
    for session in store.listed()[0]:
        again = chatting.chat(session=session)
        assert finish(again.send("again")).cached_tokens > 100
        again.close()


# What is read


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "[" * 100_000,
        '{"model": "x"}',
        '{"model": "x", "messages": null}',
        '{"model": "x", "messages": {}}',
        '{"model": "x", "messages": [{"role": "user", "content": 5}]}',
        '{"model": "x", "messages": [{"role": "nobody", "content": "x"}]}',
        '{"format": 2, "model": "x", "messages": [{"role": "user", "content": 5}]}',
        '{"model": "x", "messages": [5]}',
        '{"model": 5, "messages": []}',
        '{"model": "x", "label": null, "messages": []}',
        '{"model": "x", "messages": [], "window": -1}',
        '{"model": "x", "messages": [], "updated": 5}',
        "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
    ],
)
def test_a_broken_session_stops_no_other(
    text: str, own_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_session(own_home, "broken", text)
    write_session(own_home, "good", said("hello", "there"))
    assert main(["sessions", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in document["sessions"]] == ["good"]
    assert [one["name"] for one in document["broken"]] == ["broken"]
    assert main(["sessions"]) == 0
    assert "broken is broken: " in capsys.readouterr().out
    assert store.latest().name == "good"
    assert main(["chat", "--session", "broken", "-p", "hello"]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) <= 2
    assert main(["sessions", "--remove", "broken", "--yes"]) == 0
    assert not folder.exists()


def test_a_session_of_version_0_1_is_read(own_home: Path) -> None:
    call = {"id": "call_0", "type": "function", "function": {"name": "f", "arguments": {"a": 1}}}
    key = "0" * 64
    old = {
        "name": "old", "model": "m.gguf", "label": "Old", "system": "Be brief.", "window": 2,
        "updated": "2026-11-20T10:00:00+01:00",
        "messages": [
            {"role": "user", "content": [{"type": "image", "image": key},
                                         {"type": "text", "text": "What is it?"}]},
            {"role": "assistant", "content": "A map.", "reasoning_content": "Hm."},
            {"role": "user", "content": "Call f."},
            {"role": "assistant", "content": "", "tool_calls": [call]},
        ],
    }  # fmt: skip
    write_session(own_home, "old", json.dumps(old))
    session = store.load("old")
    assert (session.system, session.first_visible, session.title) == ("Be brief.", 2, "What is it?")
    shown, answer, _, calls = session.messages
    assert (shown.content, shown.images) == ("What is it?", (key,))
    assert (answer.content, answer.reasoning) == ("A map.", "Hm.")
    assert (calls.tool_calls[0].name, calls.tool_calls[0].arguments) == ("f", {"a": 1})
    assert session.updated.isoformat() == "2026-11-20T10:00:00+01:00"


def test_the_last_session_is_the_last_instant_in_any_zone(own_home: Path) -> None:
    for name, updated in {
        "first": "2026-11-20T12:00:00+05:00",  # 7:00 UTC
        "last": "2026-11-20T08:00:00+00:00",
        "middle": "2026-11-20T02:30:00-05:00",  # 7:30 UTC
    }.items():
        document = json.loads(said("hello")) | {"updated": updated}
        write_session(own_home, name, json.dumps(document))
    assert [one.name for one in store.listed()[0]] == ["last", "middle", "first"]
    assert store.latest().name == "last"


# Whose it is


def test_what_is_saved_is_its_owners_alone(own_home: Path) -> None:
    (own_home / "home").mkdir(mode=0o755)
    before = os.umask(0)
    try:
        chat = chatting.chat()
        finish(chat.send("one"))
        chat.close()
    finally:
        os.umask(before)
    for path in [own_home / "home", *own_home.glob("home/**/*")]:
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path
    assert {path.name for path in own_home.glob("home/sessions/one/*")} >= {
        "messages.json", "state",
    }  # fmt: skip


def test_of_a_session_that_is_a_link_the_link_is_removed(
    own_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = own_home / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "messages.json").write_text(said("hello"))
    (own_home / "home" / "sessions").mkdir(parents=True)
    link = own_home / "home" / "sessions" / "linked"
    link.symlink_to(elsewhere)
    assert main(["sessions", "--remove", "linked", "--yes"]) == 0
    assert "only the link" in capsys.readouterr().err
    assert not link.is_symlink()
    assert (elsewhere / "messages.json").is_file()


@pytest.mark.parametrize("name", ["x/y", "..", "a" * 290, "", "ü" * 120, "-x", "a\0b"])
def test_a_name_that_leaves_its_folder_or_is_too_long_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        store.load(name)
