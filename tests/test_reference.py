"""What a MODEL can be, and what is said where it is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from qwenpick.catalog.table import load
from qwenpick.errors import UsageError
from qwenpick.pull.reference import Demo, HubFile, LocalFile, Reference, Size, parse


@pytest.mark.parametrize(
    ("text", "quant", "reference"),
    [
        ("9B", None, Size(size="9b")),
        ("0.8b:q5_k_m", None, Size(size="0.8b", quant="Q5_K_M")),
        ("4b", "ud-q2_k_xl", Size(size="4b", quant="UD-Q2_K_XL")),
        ("4b:Q4_K_M", "q4_k_m", Size(size="4b", quant="Q4_K_M")),
        ("owner/repo", None, HubFile(repo="owner/repo")),
        ("owner/repo:Q4_K_M", None, HubFile(repo="owner/repo", quant="Q4_K_M")),
        ("owner/repo.x", "Q8_0", HubFile(repo="owner/repo.x", quant="Q8_0")),
        ("owner/repo/a/b.gguf", None, HubFile(repo="owner/repo", file="a/b.gguf")),
        ("Demo", None, Demo()),
    ],
)
def test_a_model_is_understood(text: str, quant: str | None, reference: Reference) -> None:
    assert parse(text, quant, load()) == reference


def test_a_file_here_goes_before_a_hub_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = Path("owner/repo/file.gguf")
    assert parse(str(file), None, load()) == HubFile(repo="owner/repo", file="file.gguf")
    file.parent.mkdir(parents=True)
    file.write_bytes(b"GGUF")
    assert parse(str(file), None, load()) == LocalFile(path=file)


@pytest.mark.parametrize(
    ("text", "quant", "said"),
    [
        ("14b", None, "Sizes: 0.8b, 2b, 4b, 9b"),
        ("9b:Q4_KM", None, "Nearest: Q4_K_M"),
        ("9b", "Q9", "There are: "),
        ("9b:Q4_K_M", "Q8_0", "More than one quantisation"),
        ("no.gguf", None, "There is no file no.gguf"),
        ("/no/such", None, "There is no file /no/such"),
        ("owner/repo/../x.gguf", None, "leaves its folder"),
        ("owner/repo/x.gguf", "Q8_0", "cannot be chosen"),
        ("demo", "Q8_0", "cannot be chosen"),
        ("a/b/c", None, "There is no model"),
        ("", None, "There is no model"),
    ],
)
def test_what_is_no_model_is_told_what_is(text: str, quant: str | None, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text, quant, load())
    assert said in f"{caught.value.message} {caught.value.hint}"
    assert caught.value.hint


def test_a_directory_and_a_letter_are_no_models(tmp_path: Path) -> None:
    letter = tmp_path / "notes.txt"
    letter.write_text("Dear all,")
    (tmp_path / "x.gguf").touch()
    with pytest.raises(UsageError, match="is not a GGUF model"):
        parse(str(letter), None, load())
    with pytest.raises(UsageError, match="is a directory") as caught:
        parse(str(tmp_path), None, load())
    assert "x.gguf" in caught.value.hint
