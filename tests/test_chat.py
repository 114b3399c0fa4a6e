"""`chat`, by the front door: a real model that answers, and a tiny Qwen3.5."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import engines
import pytest
import shapes
from msgspec.structs import replace

from qwenpick.app import state
from qwenpick.cli.main import main
from qwenpick.errors import RunError
from qwenpick.printable import printable

TURN_KEYS = {
    "reply", "thinking", "tool_calls", "finish", "prompt_tokens", "cached_tokens",
    "completion_tokens", "first_token_seconds", "prompt_rate", "decode_rate",
}  # fmt: skip
QUICK = ("--threads", "1", "--context", "2048")


def chat(*arguments: str) -> int:
    return main(["chat", *arguments, *QUICK])


def test_the_demo_knows_paris(capsys: pytest.CaptureFixture[str]) -> None:
    question = "What is the capital of France? Answer in one word."
    assert chat("demo", "-p", question, "--temperature", "0", "--no-save") == 0
    out, _ = capsys.readouterr()
    assert "Paris" in out


def test_json_fits_the_contract(capsys: pytest.CaptureFixture[str]) -> None:
    model = str(engines.tiny())
    assert chat(model, "-p", "hello", "-p", "again", "--max-tokens", "16", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == 1
    assert document["model"] == {"path": model, "size": None, "quant": "F32"}
    assert document["settings"]["context"] == 2048
    assert {"predicted", "actual", "buffers"} == document["memory"].keys()
    assert document["memory"]["buffers"]["recurrent_state"] > 0
    first, second = document["turns"]
    assert first.keys() == second.keys() == TURN_KEYS
    assert first["finish"] == "length"
    assert first["completion_tokens"] == 16
    assert 0 < second["cached_tokens"] < second["prompt_tokens"]


def test_a_chat_imports_no_numpy_and_leaves_the_bindings_whole() -> None:
    script = (
        "import sys; from qwenpick.cli.main import main;"
        "code = main(['chat', sys.argv[1], '-p', 'hi', '--max-tokens', '2', '--no-save']);"
        "heavy = {'numpy', 'diskcache', 'llama_cpp', 'importlib.metadata'} & set(sys.modules);"
        "import llama_cpp; llama_cpp.Llama(sys.argv[1], n_ctx=256, verbose=False).close();"
        "sys.exit(str(heavy) if heavy else code)"
    )
    command = [sys.executable, "-c", script, str(engines.tiny())]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_same_seed_gives_the_same_text(capsys: pytest.CaptureFixture[str]) -> None:
    said = []
    for seed in ("1", "1", "2"):
        arguments = ("--seed", seed, "--temperature", "1", "--max-tokens", "16", "--no-save")
        assert chat(str(engines.tiny()), "-p", "hello", *arguments) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1] != said[2]


def test_a_conversation_goes_on_after_a_restart(capsys: pytest.CaptureFixture[str]) -> None:
    model = str(engines.tiny())
    assert chat(model, "-p", "The sun " * 50, "--max-tokens", "8", "--json") == 0
    capsys.readouterr()
    assert chat("--resume", "-p", "again", "--max-tokens", "8", "--json") == 0
    (turn,) = json.loads(capsys.readouterr().out)["turns"]
    assert turn["cached_tokens"] > 100
    assert main(["sessions", "--json"]) == 0
    (session,) = json.loads(capsys.readouterr().out)["sessions"]
    assert session["messages"] == 4
    assert chat("--session", session["name"], "-p", "third", "--max-tokens", "8") == 0


@pytest.mark.parametrize("harm", ["cut", "flip", "empty", "foreign"])
def test_a_state_that_does_not_fit_is_ignored_with_a_note(
    harm: str, own_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert chat(str(engines.tiny()), "-p", "The sun " * 20, "--max-tokens", "8") == 0
    (path,) = own_home.glob("home/sessions/*/state")
    data = bytearray(path.read_bytes())
    if harm == "flip":
        data[-100] ^= 1
    if harm == "foreign":
        data[data.index(b'"f16"') + 2] = ord("8")
    path.write_bytes({"cut": data[:-100], "empty": b""}.get(harm, bytes(data)))
    assert chat("--resume", "-p", "again", "--max-tokens", "8", "--json") == 0
    out, err = capsys.readouterr()
    assert "is not used" in err
    assert json.loads(out[out.rindex('{\n "schema"') :])["turns"][0]["cached_tokens"] == 0


def test_thinking_has_a_budget_and_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--think", "--think-budget", "8", "--max-tokens", "24", "--no-save")
    assert chat(str(engines.tiny()), "-p", "hello", *arguments, "--json") == 0
    (turn,) = json.loads(capsys.readouterr().out)["turns"]
    assert turn["thinking"]
    assert turn["reply"]
    assert turn["completion_tokens"] == 24
    assert chat(str(engines.tiny()), "-p", "hello", *arguments) == 0
    out, err = capsys.readouterr()
    assert out.strip() == turn["reply"]
    assert printable(turn["thinking"]) in err


def test_stdin_is_joined_to_the_first_prompt(tmp_path: Path) -> None:
    said = tmp_path / "said.txt"
    said.write_text("The sun " * 40)
    command = [sys.executable, "-m", "qwenpick", "chat", str(engines.tiny()), *QUICK]
    command += ["--max-tokens", "4", "--json", "-p", "hello", "-p", "again"]
    counts = []
    for path in (os.devnull, said):
        with Path(path).open("rb") as stdin:
            done = subprocess.run(command, stdin=stdin, capture_output=True, check=True)
        counts.append(json.loads(done.stdout)["turns"][0]["prompt_tokens"])
    assert counts[1] > counts[0] + 40
    done = subprocess.run(command[:-4], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert done.returncode == 2


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--mode", "poetry"), 2),
        (("--stop", ""), 2),
        (("--temperature", "-1"), 2),
        (("--context", "0"), 2),
        (("--context", "10000000"), 2),
        (("--kv-type", "q9"), 2),
        (("--ubatch", "7"), 2),
        (("--session", "nobody"), 2),
    ],
)
def test_wrong_usage_is_told(
    arguments: tuple[str, ...], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["chat", str(engines.tiny()), "-p", "hello", *arguments]) == code
    out, err = capsys.readouterr()
    assert not out
    assert 1 <= len(err.strip().splitlines()) <= 2


def test_a_broken_file_never_reaches_the_engine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = engines.tiny().read_bytes()
    for name, data in {
        "empty": b"",
        "words": b"Dear all, this is no model",
        "head": whole[:100],
        "half": whole[: len(whole) // 2],
        "short": whole[:-1],
    }.items():
        path = tmp_path / f"{name}.gguf"
        path.write_bytes(data)
        assert chat(str(path), "-p", "hello") == 5
        out, err = capsys.readouterr()
        assert not out
        assert path.name in err


def test_what_outgrows_the_window_is_dropped_and_told(capsys: pytest.CaptureFixture[str]) -> None:
    prompts = [word for number in range(5) for word in ("-p", f"{number} " + "The sun " * 60)]
    arguments = ("--max-tokens", "8", "--context", "512", "--threads", "1", "--json")
    assert main(["chat", str(engines.tiny()), *prompts, *arguments]) == 0
    out, err = capsys.readouterr()
    assert "A longer context fits: qwenpick chat --resume --context 1024\n" in err
    assert (
        main(["chat", "--resume", "-p", "again", "--max-tokens", "8", "--context", "4k", "--json"])
        == 0
    )
    (turn,) = json.loads(capsys.readouterr().out)["turns"]
    assert turn["prompt_tokens"] > 512
    assert all(turn["prompt_tokens"] <= 512 for turn in json.loads(out)["turns"])
    assert main(["chat", str(engines.tiny()), "-p", "The sun " * 900, *arguments]) == 5


def test_a_turn_that_fails_leaves_all_as_it_was() -> None:
    talk = engines.conversation(engines.engine(engines.tiny(), 512), ahead=False)
    for number in range(4):
        *_, last = talk.send(f"{number} " + "The sun " * 40)
    before = list(talk.messages), talk.first_visible
    assert talk.first_visible
    with pytest.raises(RunError, match="the context has 512"):
        list(talk.send("The sun " * 900))
    assert (talk.messages, talk.first_visible) == before
    for index, _ in enumerate(talk.turn(talk.messages[:-1], 1)):
        if index == 0:  # nothing of it was read yet
            talk.stop.set()
    assert (talk.messages, talk.first_visible) == before
    *_, last = talk.turn(talk.messages[:-1], 1)
    assert last.turn.reply == before[0][-1].content


def test_an_answer_can_be_had_again_after_a_restart(tmp_path: Path) -> None:
    engine = engines.engine(engines.tiny())
    talk = engines.conversation(engine)
    *_, first = talk.send("The sun " * 50)
    talk.model.wait_prefill()
    talk.model.close()
    owner = state.Owner(model="m", engine_version="1", kv_type="f16")
    assert state.save(talk.model.prefix_cache, tmp_path / "state", owner)
    again = engines.conversation(engine, ahead=False)
    assert state.load(again.model.prefix_cache, tmp_path / "state", owner) is None
    *_, last = again.turn(talk.messages[:-1], 1)
    assert last.turn.reply == first.turn.reply
    assert last.turn.prompt_tokens - last.turn.cached_tokens < 16


def test_a_home_that_cant_be_written_to_costs_no_answer(
    own_home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (own_home / "file").write_text("no folder")
    monkeypatch.setenv("QWENPICK_HOME", str(own_home / "file" / "home"))
    assert chat(str(engines.tiny()), "-p", "hello", "--max-tokens", "8") == 0
    out, err = capsys.readouterr()
    assert out.strip()
    assert err.count("Cannot save this conversation any more") == 1


def test_ctrl_c_ends_a_turn_and_keeps_the_finished_ones() -> None:
    command = [sys.executable, "-m", "qwenpick", "chat", str(engines.smollm2()), *QUICK]
    command += ["-p", "Count to a thousand.", "-p", "again", "--temperature", "1", "--no-save"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
        assert process.stdout
        os.read(process.stdout.fileno(), 1)
        process.send_signal(signal.SIGINT)
        started = time.monotonic()
        process.stdout.read()
        assert process.wait() == 130
        assert time.monotonic() - started < 2


def test_a_closed_pipe_ends_quietly() -> None:
    command = [sys.executable, "-m", "qwenpick", "chat", str(engines.tiny()), *QUICK, "--no-save"]
    command += ["-p", "hello", "--max-tokens", "400"]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert process.wait() == 0
        assert process.stderr.read() == b""


@pytest.mark.proof
def test_no_harmed_state_is_handed_to_the_engine(tmp_path: Path) -> None:
    engine = engines.engine(engines.tiny())
    talk = engines.conversation(engine)
    for _ in talk.send("The sun " * 20):
        pass
    talk.model.wait_prefill()
    talk.model.close()
    owner = state.Owner(model="m", engine_version="1", kv_type="f16")
    whole = tmp_path / "state"
    assert state.save(talk.model.prefix_cache, whole, owner)
    data, dice = whole.read_bytes(), random.Random(1)  # noqa: S311 - dice, no secret
    harmed = tmp_path / "harmed"
    for number in range(2000):
        broken = bytearray(data)
        at = dice.randrange(len(data)) if number % 2 else dice.randrange(600)
        if number % 4 < 2:
            broken[at] ^= 1 << dice.randrange(8)
        else:
            del broken[at:]
        harmed.write_bytes(broken)
        assert state.load(talk.model.prefix_cache, harmed, owner)
    assert state.load(talk.model.prefix_cache, whole, owner) is None


def test_a_block_that_predicts_further_tokens_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = replace(shapes.TINY, mtp_layers=1)
    with_block = shapes.write(tmp_path / "more.gguf", more, "F32")
    assert with_block.stat().st_size > engines.tiny().stat().st_size
    said = []
    for model in (engines.tiny(), with_block):
        arguments = ("-p", "hello", "--max-tokens", "16", "--temperature", "0", "--no-save")
        assert chat(str(model), *arguments, "--json") == 0
        document = json.loads(capsys.readouterr().out)
        memory = document["memory"]
        said.append((document["turns"][0]["reply"], memory["predicted"], memory["buffers"]))
    assert said[0] == said[1]
