"""The header reader: what a sound file says, and that no broken one reaches the engine alive."""

from __future__ import annotations

import random
import struct
from typing import TYPE_CHECKING

import engine_loads
import pytest
import shapes
from msgspec.structs import replace

from qwenpick.cli.main import main
from qwenpick.errors import RunError, UsageError
from qwenpick.pull.gguf.header import read_header, read_strings
from qwenpick.pull.gguf.model_file import read_model

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shapes.write(tmp_path_factory.mktemp("models") / "tiny.gguf", shapes.TINY)


def test_a_sound_file_gives_the_shape_that_was_written(sound: Path) -> None:
    model = read_model(sound)
    counted = model.architecture.text_params
    assert counted > 0
    assert model.architecture == replace(shapes.TINY, text_params=counted)
    assert model.quant == "F16"
    assert model.header.data_offset + sum(t.bytes for t in model.header.tensors) <= (
        model.header.file_bytes
    )


def test_the_block_that_predicts_further_tokens_is_counted_apart(tmp_path: Path) -> None:
    plain = read_model(shapes.write(tmp_path / "a.gguf", shapes.TINY)).architecture
    more = replace(shapes.TINY, mtp_layers=1)
    with_block = read_model(shapes.write(tmp_path / "b.gguf", more)).architecture
    assert with_block == replace(plain, mtp_layers=1)


def test_a_file_of_a_real_size_has_the_catalogues_exact_bytes(tmp_path: Path) -> None:
    path = shapes.write(tmp_path / "one.gguf", shapes.TINY, "any", size=12_000_000)
    assert path.stat().st_size == 12_000_000
    assert read_model(path).architecture.layers == shapes.TINY.layers


def test_long_lists_are_walked_over_and_read_when_they_are_asked_for(tmp_path: Path) -> None:
    shape = replace(shapes.TINY, vocab=3000)
    header = read_header(shapes.write(tmp_path / "many.gguf", shape))
    tokens = header.metadata["tokenizer.ggml.tokens"]
    words = read_strings(header, tokens)  # type: ignore[arg-type]  # 3,000 are a long list
    assert len(words) == len(set(words)) == 3000
    assert words[-1] == b"</think>"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"Dear reader", 'it starts with "Dear"'),
        (b"\x89PNG\r\n\x1a\n", "it starts with"),
        (b"", "it starts with"),
    ],
)
def test_a_file_of_another_kind_is_wrong_usage(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="not a GGUF model") as caught:
        read_header(path)
    assert says in caught.value.message
    with pytest.raises(UsageError, match="is a directory"):
        read_header(tmp_path)
    with pytest.raises(UsageError, match="does not exist"):
        read_header(tmp_path / "nothing.gguf")


def test_a_gguf_that_is_none_is_broken(tmp_path: Path) -> None:
    path = tmp_path / "page.gguf"
    path.write_bytes(b"<html>not found</html>")
    with pytest.raises(RunError, match="is broken"):
        read_header(path)


def _patched(sound: Path, key: str, new: bytes) -> bytes:
    """Overwrite the value of *key*, as long as *new* is."""
    data = bytearray(sound.read_bytes())
    at = data.index(key.encode()) + len(key) + 4
    data[at : at + len(new)] = new
    return bytes(data)


@pytest.mark.parametrize(
    ("key", "new", "says"),
    [
        ("qwen35.block_count", struct.pack("<I", 0), "layers"),
        ("qwen35.block_count", struct.pack("<I", 100_000), "layers"),
        ("qwen35.attention.head_count_kv", struct.pack("<I", 3), "heads"),
        ("qwen35.attention.layer_norm_rms_epsilon", struct.pack("<f", -1.0), "epsilon"),
        ("qwen35.rope.dimension_count", struct.pack("<I", 4096), "rotates"),
        ("qwen35.ssm.inner_size", struct.pack("<I", 1 << 30), "inner_size"),
        ("qwen35.ssm.group_count", struct.pack("<I", 3), "share"),
        ("qwen35.full_attention_interval", struct.pack("<I", 0), "interval"),
        ("qwen35.full_attention_interval", struct.pack("<I", 3), "missing"),
    ],
)
def test_numbers_that_would_end_the_engines_process_are_refused(
    sound: Path, tmp_path: Path, key: str, new: bytes, says: str
) -> None:
    path = tmp_path / "bad.gguf"
    path.write_bytes(_patched(sound, key, new))
    with pytest.raises(RunError, match=says):
        read_model(path)


def test_a_token_that_is_there_twice_is_refused(sound: Path, tmp_path: Path) -> None:
    data = sound.read_bytes().replace(b"<|vision_start|>", b"<|vision_start|>", 1)
    path = tmp_path / "twice.gguf"
    path.write_bytes(data.replace(b"<|image_pad|>", b"<|video_pad|>", 1))
    with pytest.raises(RunError, match="twice"):
        read_model(path)


def _mutations(sound: Path, folder: Path, count: int, *, seed: int) -> list[Path]:
    """Write *count* broken copies: bytes of the header changed, or the file cut short."""
    source = random.Random(seed)  # noqa: S311 - a seeded fuzzer is to be the same each time
    whole, header = sound.read_bytes(), read_header(sound)
    paths = []
    for number in range(count):
        data = bytearray(whole)
        kind = number % 5
        if kind == 0:
            del data[source.randrange(len(data)) :]
        for _ in range((0, 1, 1, 2, 8)[kind]):
            at = source.randrange(header.data_offset)
            value = source.choice(
                (source.randrange(256), data[at] ^ 1 << source.randrange(8), 0, 255)
            )
            data[at] = value
        if kind == 2:  # a whole number of four bytes, in the part with the keys
            at = source.randrange(4, min(header.data_offset, 2000))
            data[at : at + 4] = struct.pack("<I", source.choice((0, 1, 2, 7, 255, 1 << 31)))
        path = folder / f"{number}.gguf"
        path.write_bytes(data)
        paths.append(path)
    return paths


def _check_fuzz(sound: Path, folder: Path, count: int, *, seed: int) -> None:
    ends = engine_loads.ends(_mutations(sound, folder, count, seed=seed))
    died = {path.name: end for path, end in ends.items() if end.startswith("died")}
    assert not died, died
    refused = [end for end in ends.values() if end != "read"]
    assert all(end[0] in "25" for end in refused)
    assert len(refused) > count // 4  # the mutations do break files


def test_no_broken_file_ends_the_process(sound: Path, tmp_path: Path) -> None:
    _check_fuzz(sound, tmp_path, 50, seed=1)


@pytest.mark.proof
@pytest.mark.parametrize("seed", range(10))
def test_two_thousand_broken_files_never_end_the_process(
    sound: Path, tmp_path: Path, seed: int
) -> None:
    _check_fuzz(sound, tmp_path, 200, seed=100 + seed)


@pytest.mark.proof
def test_two_hundred_truncations_are_refused(sound: Path, tmp_path: Path) -> None:
    whole = sound.read_bytes()
    path = tmp_path / "cut.gguf"
    for step in range(200):
        path.write_bytes(whole[: step * len(whole) // 200])
        with pytest.raises((RunError, UsageError)):
            read_model(path)


def test_chat_says_what_is_wrong_in_two_lines(
    tmp_path: Path, sound: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "half.gguf"
    path.write_bytes(sound.read_bytes()[:20_000])
    assert main(["chat", str(path), "-p", "hello"]) == 5
    out, err = capsys.readouterr()
    assert not out
    assert "half.gguf is broken" in err
    assert len(err.splitlines()) == 2


def split(path: Path, parts: int) -> list[Path]:
    """Split a file as llama-gguf-split does: all keys in the first part, tensors shared out."""
    import gguf

    reader = gguf.GGUFReader(path)
    data = path.read_bytes()
    keys = data[24 : reader.tensors[0].field.offset]
    share = -(-len(reader.tensors) // parts)
    written = []
    for number in range(parts):
        tensors = reader.tensors[number * share : (number + 1) * share]
        own = struct.pack("<Q", 8) + b"split.no" + struct.pack("<IH", 2, number)
        own += struct.pack("<Q", 11) + b"split.count" + struct.pack("<IH", 2, parts)
        own += struct.pack("<Q", 19) + b"split.tensors.count"
        own += struct.pack("<Ii", 5, len(reader.tensors))
        count = 3 + (struct.unpack_from("<Q", data, 16)[0] if number == 0 else 0)
        head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), count)
        head += own + (keys if number == 0 else b"")
        offset, weights = 0, b""
        for tensor in tensors:
            name = tensor.name.encode()
            shape = [int(length) for length in tensor.shape]
            head += struct.pack("<Q", len(name)) + name
            head += struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
            head += struct.pack("<IQ", int(tensor.tensor_type), offset)
            raw = tensor.data.tobytes()
            weights += raw + bytes(-len(raw) % 32)
            offset = len(weights)
        place = path.with_name(f"{path.stem}-{number + 1:05}-of-{parts:05}.gguf")
        place.write_bytes(head + bytes(-len(head) % 32) + weights)
        written.append(place)
    return written


def test_a_split_model_is_one_model(sound: Path, tmp_path: Path) -> None:
    whole = tmp_path / "tiny.gguf"
    whole.write_bytes(sound.read_bytes())
    first, second, third = split(whole, 3)
    model, alone = read_model(first), read_model(whole)
    assert model.architecture == alone.architecture
    assert {tensor.name for tensor in model.tensors} == {tensor.name for tensor in alone.tensors}
    assert model.header.file_bytes == sum(part.stat().st_size for part in (first, second, third))
    assert engine_loads.ends([first]) == {first: "read"}
    with pytest.raises(RunError, match="name the first one, tiny-00001-of-00003"):
        read_model(second)
    third.write_bytes(second.read_bytes())
    with pytest.raises(RunError, match="not part 3 of 3"):
        read_model(first)
    third.unlink()
    with pytest.raises(RunError, match=r"tiny-00003-of-00003\.gguf is missing"):
        read_model(first)
