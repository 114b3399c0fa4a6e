"""Pictures: through a projector with random weights, from the file to the answer."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import projector
import pulling
import pytest
import shapes
from PIL import Image

from qwenpick.app.projectors import read_projector_shape
from qwenpick.catalog import table
from qwenpick.cli.main import main
from qwenpick.pick.vision_memory import encoding_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

ONE_THREAD = ("--threads", "1", "--max-tokens", "4", "--context", "4k")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a tiny model that sees."""
    folder = tmp_path_factory.mktemp("model")
    projector.write(folder / "mmproj-F16.gguf", projector.TINY)
    return shapes.write(folder / "tiny.gguf", shapes.TINY)


def picture(path: Path, width: int = 640, height: int = 480) -> str:
    pixels = np.random.default_rng(1).integers(0, 255, (height, width, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return str(path)


def chat(*arguments: object) -> int:
    return main(["chat", *map(str, (*arguments, *ONE_THREAD, "--no-save"))])


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "gif"])
def test_a_picture_is_counted_and_read_once(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], ending: str
) -> None:
    image = picture(tmp_path / f"picture.{ending}")
    assert chat(model, "--image", image, "-p", "What is it?", "-p", "And now?", "--json") == 0
    first, second = json.loads(capsys.readouterr().out)["turns"]
    # 640 x 480 pixels, a token for each 32 x 32 of them (patches of 16, two by two)
    assert 300 <= first["prompt_tokens"] < 340
    assert second["cached_tokens"] > 300
    assert second["prompt_tokens"] - second["cached_tokens"] < 60


def test_several_pictures_go_with_one_message(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = picture(tmp_path / "one.png", 64, 64)
    two = picture(tmp_path / "two.png", 320, 320)
    assert chat(model, "--image", one, "--image", two, "-p", "Compare.", "--json") == 0
    (turn,) = json.loads(capsys.readouterr().out)["turns"]
    # 64 x 64 is scaled up to the least that the library takes, eight tokens
    assert 100 + 8 <= turn["prompt_tokens"] < 150


def test_a_large_picture_is_scaled_and_said_so(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = picture(tmp_path / "large.png", 4000, 1000)
    assert chat(model, "--image", image, "-p", "What is it?", "--json") == 0
    seen = capsys.readouterr()
    assert "scaled from 4000 x 1000 to 2048 x 512 pixels" in seen.err
    assert json.loads(seen.out)["turns"][0]["prompt_tokens"] < 1100


@pytest.mark.parametrize(
    "case",
    [
        ("notes.png", b"Dear diary", "is not a whole image"),
        ("cut.png", b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "is not a whole image"),
        ("film.mp4", b"\x00\x00\x00\x18ftypmp42", "is a video"),
        ("film.png", b"\x00\x00\x00\x18ftypmp42", "is a video"),
        ("film.jpg", b"\x1a\x45\xdf\xa3webm", "is a video"),
        ("film.gif", b"RIFF\x00\x00\x00\x00AVI LIST", "is a video"),
        ("empty.png", b"", "is not a whole image"),
        ("missing.png", None, "There is no file"),
    ],
)
def test_what_is_no_picture_is_refused(
    model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    case: tuple[str, bytes | None, str],
) -> None:
    name, content, said = case
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert chat(model, "--image", tmp_path / name, "-p", "What is it?") == 2
    seen = capsys.readouterr()
    assert said in seen.err
    assert seen.out == ""


def test_without_a_projector_it_says_how_to_get_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = shapes.write(tmp_path / "blind.gguf", shapes.TINY)
    image = picture(tmp_path / "picture.png")
    assert chat(model, "--image", image, "-p", "What is it?") == 5
    assert "pull MODEL --vision" in capsys.readouterr().err


def test_memory_is_what_the_sum_says(model: Path, tmp_path: Path) -> None:
    image = picture(tmp_path / "picture.png")
    done = pulling.run(
        "chat", str(model), "--image", image, "-p", "What is it?", "--json", "--no-save",
        *ONE_THREAD, "--ubatch", "64",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    memory = json.loads(done.stdout)["memory"]
    projector_shape = read_projector_shape(model.with_name("mmproj-F16.gguf"))
    expected = encoding_bytes(projector_shape, 300)
    logged = 0.01 * 2**20
    assert memory["buffers"]["vision"] == pytest.approx(expected, abs=logged)
    assert memory["predicted"] == pytest.approx(memory["actual"], rel=0.03)


def test_the_table_knows_each_projector_s_shape() -> None:
    sizes = json.loads(table.PACKAGED.read_text("utf-8"))["sizes"]
    for size, entry in sizes.items():
        e, f, n = (entry["mmproj"][name] for name in ("hidden", "ffn", "layers"))
        out = entry["arch"]["hidden"]
        block = 4 * e * e + 4 * e + 2 * e * f + f + e + 4 * e  # attention, feed-forward, two norms
        begin = 2 * 3 * 16 * 16 * e + e + projector.POSITIONS * e
        end = 2 * e + 16 * e * e + 4 * e + 4 * e * out + out
        assert begin + n * block + end == entry["arch"]["vision_params"], size


def test_a_photograph_is_seen_as_it_was_held(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pixels = np.random.default_rng(1).integers(0, 255, (64, 640, 3), np.uint8)
    lying = Image.fromarray(pixels)
    exif = lying.getexif()
    exif[0x0112] = 6  # turned by a quarter
    lying.save(tmp_path / "lying.png", exif=exif)
    lying.transpose(Image.Transpose.ROTATE_270).save(tmp_path / "upright.png")
    turns = []
    for name in ("lying", "upright"):
        image = tmp_path / f"{name}.png"
        assert chat(model, "--image", image, "-p", "What?", "--seed", 1, "--json") == 0
        turns.append(json.loads(capsys.readouterr().out)["turns"][0]["reply"])
    assert turns[0] == turns[1]


def test_of_a_film_strip_the_first_frame_is_seen_and_said_so(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = [Image.new("RGB", (320, 320), colour) for colour in ("red", "blue")]
    for ending in ("gif", "webp"):
        image = tmp_path / f"moves.{ending}"
        frames[0].save(image, save_all=True, append_images=frames[1:])
        assert chat(model, "--image", image, "-p", "What is it?") == 0
        assert f"moves.{ending}: its first frame" in capsys.readouterr().err


class _Web(BaseHTTPRequestHandler):
    """Serves what is told, by path, and keeps what was asked."""

    pages: ClassVar[dict[str, tuple[int, bytes]]]
    heads: ClassVar[list[dict[str, str]]]

    def do_GET(self) -> None:
        status, body = self.pages[self.path]
        self.heads.append({name.casefold(): value for name, value in self.headers.items()})
        self.send_response(status)
        if status == 302:
            self.send_header("Location", body.decode())
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def web(tmp_path: Path) -> Iterator[tuple[str, type[_Web]]]:
    class Web(_Web):
        pages: ClassVar = {
            "/a%20b.png": (200, Path(picture(tmp_path / "sent.png", 64, 64)).read_bytes()),
            "/there": (302, b"/a%20b.png"),
            "/page.png": (200, b"<html>Not a picture</html>"),
            "/gone.png": (404, b""),
            "/large.png": (200, bytes((32 << 20) + 1)),
            "/film": (200, b"\x00\x00\x00\x18ftypmp42"),
        }
        heads: ClassVar = []

    server = ThreadingHTTPServer(("127.0.0.1", 0), Web)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", Web
    server.shutdown()
    server.server_close()


def test_an_address_is_a_picture_too(
    model: Path,
    web: tuple[str, type[_Web]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    url, asked = web
    assert chat(model, "--image", f"{url}/a%20b.png", "-p", "What is it?", "--json") == 0
    (turn,) = json.loads(capsys.readouterr().out)["turns"]
    assert turn["prompt_tokens"] > 8
    assert chat(model, "--image", f"{url}/there", "-p", "What is it?") == 0
    assert len(asked.heads) == 3
    assert "hf_secret" not in str(asked.heads)


@pytest.mark.parametrize(
    "case",
    [
        ("/page.png", 2, "is not a whole image"),
        ("/gone.png", 4, "no image at this address (404)"),
        ("/large.png", 2, "larger than 34 MB"),
        ("/film", 2, "is a video"),
    ],
)
def test_what_an_address_sends_is_looked_at(
    model: Path,
    web: tuple[str, type[_Web]],
    capsys: pytest.CaptureFixture[str],
    case: tuple[str, int, str],
) -> None:
    path, code, said = case
    assert chat(model, "--image", web[0] + path, "-p", "What is it?") == code
    seen = capsys.readouterr()
    assert said in seen.err
    assert len(seen.err.splitlines()) == 2, seen.err
    assert seen.out == ""


@pytest.mark.parametrize(
    ("url", "code", "said"),
    [
        ("http://127.0.0.1:9/a.png", 4, "127.0.0.1:9 refuses the connection"),
        ("http://[/a.png", 2, "not a web address"),
        ("HTTP://", 2, "not a web address"),
    ],
)
def test_an_address_that_leads_nowhere_is_told(
    model: Path, capsys: pytest.CaptureFixture[str], url: str, code: int, said: str
) -> None:
    assert chat(model, "--image", url, "-p", "What is it?") == code
    assert said in capsys.readouterr().err


def test_offline_no_address_is_asked(
    model: Path,
    web: tuple[str, type[_Web]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert chat(model, "--image", f"{web[0]}/a%20b.png", "-p", "What is it?") == 4
    assert "HF_HUB_OFFLINE is set" in capsys.readouterr().err
    assert web[1].heads == []


def keep(model: Path, *arguments: object) -> int:
    return main(["chat", *map(str, (model, *arguments, *ONE_THREAD))])


def kept_pictures(home: Path) -> list[Path]:
    return sorted((home / "home" / "sessions").glob("*/*.png"))


def test_a_picture_is_kept_with_its_session(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = Path(picture(tmp_path / "picture.jpg"))
    assert keep(model, "--image", image, "-p", "What is it?", "--seed", 1) == 0
    image.unlink()
    (file,) = kept_pictures(tmp_path)
    capsys.readouterr()
    assert keep(model, "--resume", "-p", "And now?", "--json") == 0
    seen = capsys.readouterr()
    (turn,) = json.loads(seen.out)["turns"]
    assert turn["cached_tokens"] > 300  # the picture was not even encoded again
    assert seen.err == ""

    (file.parent / "state").unlink()  # and without the state it is read again, from its pixels
    assert keep(model, "--resume", "-p", "And now?", "--json") == 0
    (turn,) = json.loads(capsys.readouterr().out)["turns"]
    assert turn["cached_tokens"] == 0
    assert turn["prompt_tokens"] > 300


@pytest.mark.parametrize("harm", ["removed", "cut short", "another"])
def test_a_kept_picture_that_is_gone_is_told_and_no_more(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], harm: str
) -> None:
    assert keep(model, "--image", picture(tmp_path / "a.png"), "-p", "What is it?") == 0
    (file,) = kept_pictures(tmp_path)
    if harm == "removed":
        file.unlink()
    elif harm == "cut short":
        file.write_bytes(file.read_bytes()[:1000])
    else:
        picture(file, 64, 64)
    capsys.readouterr()
    assert keep(model, "--resume", "-p", "And now?", "--json") == 0
    seen = capsys.readouterr()
    assert "1 image is missing" in seen.err
    (turn,) = json.loads(seen.out)["turns"]
    assert turn["prompt_tokens"] < 200


def test_without_its_projector_a_session_goes_on_in_words(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert keep(model, "--image", picture(tmp_path / "a.png"), "-p", "What is it?") == 0
    blind = shapes.write(tmp_path / "blind.gguf", shapes.TINY)
    capsys.readouterr()
    assert keep(blind, "--resume", "-p", "And now?", "--json") == 0
    seen = capsys.readouterr()
    assert "The model cannot see the images" in seen.err
    assert json.loads(seen.out)["turns"][0]["prompt_tokens"] < 200


def test_removing_a_session_asks(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert keep(model, "--image", picture(tmp_path / "a.png"), "-p", "What is it? A cat!") == 0
    capsys.readouterr()
    assert main(["sessions", "--json"]) == 0
    (session,) = json.loads(capsys.readouterr().out)["sessions"]
    assert session["name"] == "what-is-it-a-cat"  # by its first words
    assert main(["sessions", "--remove", "what-is-it"]) == 2
    assert main(["sessions", "--remove", session["name"]]) == 2
    assert "Add --yes" in capsys.readouterr().err
    assert kept_pictures(tmp_path)
    assert main(["sessions", "--remove", session["name"], "--yes", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"schema": 1, "removed": [session["name"]]}
    assert list((tmp_path / "home" / "sessions").iterdir()) == []
