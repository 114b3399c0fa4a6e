"""Pictures: through a projector with random weights, from the file to the answer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import projector
import pytest
import shapes
from PIL import Image

from qwenpick.cli.app import main

if TYPE_CHECKING:
    from pathlib import Path


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
    fixed = ("--no-save", "--max-tokens", 4, "--context", "4k")
    return main(["chat", *map(str, (*arguments, *fixed))])


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
        ("notes.png", b"Dear diary", "not a picture"),
        ("cut.png", b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "not a picture"),
        ("film.mp4", b"\x00\x00\x00\x18ftypmp42", "is a video"),
        ("missing.png", None, "is not there"),
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
