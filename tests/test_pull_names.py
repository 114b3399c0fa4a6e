"""What names of files and models say: quantisation, parts, projector, the MODEL that is meant."""

from __future__ import annotations

import pytest

from qwenpick.catalog.table import load
from qwenpick.errors import PullError, UsageError
from qwenpick.pull import names
from qwenpick.pull.reference import HubFile, Reference, Size, parse


@pytest.mark.parametrize(
    ("name", "quant"),
    [
        ("Qwen3.5-4B-Q4_K_M.gguf", "Q4_K_M"),
        ("Qwen3.5-4B-UD-Q4_K_XL.gguf", "UD-Q4_K_XL"),
        ("qwen3.5-4b.q5_k_m.gguf", "q5_k_m"),
        ("Qwen3.5-4B-Q4_K_M-imat.gguf", "Q4_K_M"),
        ("Qwen3.5-4B-imatrix-Q4_K_M.gguf", "Q4_K_M"),
        ("Q4_K_M/model.gguf", "Q4_K_M"),
        ("Qwen3.5-4B-IQ4_XS-4.04bpw.gguf", "IQ4_XS"),
        ("Qwen3.5-4B-4.04bpw.gguf", "4.04bpw"),
        ("BF16/Qwen3.5-4B-BF16-00001-of-00002.gguf", "BF16"),
        ("Qwen3.5-4B-MXFP4_MOE.gguf", "MXFP4_MOE"),
        ("model.gguf", None),
    ],
)
def test_the_quantisation_is_read_from_the_name(name: str, quant: str | None) -> None:
    assert names.quant_of(name) == quant


@pytest.mark.parametrize(
    ("listed", "quant", "found"),
    [
        (("x-Q4_K_M-imat.gguf", "x.imatrix.gguf"), "Q4_K_M", "x-Q4_K_M-imat.gguf"),
        (("imatrix-Q4_K_M.gguf",), "Q4_K_M", "imatrix-Q4_K_M.gguf"),
        (("Q4_K_M/model.gguf", "Q8_0/model.gguf"), "Q8_0", "Q8_0/model.gguf"),
        (("x-IQ4_XS-4.04bpw.gguf", "x-Q3_K_S-3.1bpw.gguf"), "4.04bpw", "x-IQ4_XS-4.04bpw.gguf"),
        (("model.gguf", "README.md"), None, "model.gguf"),
        (("mtp-x-Q4_K_M.gguf", "x-Q4_K_M.gguf"), "Q4_K_M", "x-Q4_K_M.gguf"),
        (("mtp-x-Q4_K_M.gguf", "x-Q4_K_M.gguf"), None, "x-Q4_K_M.gguf"),
        (("x-Q8_0.gguf", "mmproj-F16.gguf"), None, "x-Q8_0.gguf"),
        (("x.Q4_K_M.GGUF",), None, "x.Q4_K_M.GGUF"),
    ],
)
def test_the_file_that_is_meant_is_chosen(
    listed: tuple[str, ...], quant: str | None, found: str
) -> None:
    assert names.chosen(HubFile(repo="o/r", quant=quant), listed) == (found,)


def test_a_split_model_is_one_model_and_needs_every_part() -> None:
    listed = tuple(f"BF16/x-BF16-0000{part}-of-00003.gguf" for part in (1, 2, 3))
    assert names.chosen(HubFile(repo="o/r"), listed) == listed
    assert names.chosen(HubFile(repo="o/r", file=listed[1]), listed) == listed
    assert names.first_part(listed[2]) == listed[0]
    with pytest.raises(PullError, match="missing"):
        names.chosen(HubFile(repo="o/r"), listed[:2])


def test_files_without_a_label_are_named_in_the_error() -> None:
    with pytest.raises(UsageError) as caught:
        names.chosen(HubFile(repo="o/r", quant="Q4_K_M"), ("a.gguf", "b.gguf"))
    assert "a.gguf, b.gguf" in caught.value.hint


@pytest.mark.parametrize(
    ("listed", "model", "found"),
    [
        (("mmproj-README.md", "mmproj-F16.gguf"), "x.gguf", ("mmproj-F16.gguf",)),
        (("X.mmproj-F16.gguf",), "X-Q4_K_M.gguf", ("X.mmproj-F16.gguf",)),
        (("X-mmproj-f16.GGUF",), "X-Q4_K_M.gguf", ("X-mmproj-f16.GGUF",)),
        (("mmproj-BF16.gguf", "mmproj-F16.gguf"), "", ("mmproj-F16.gguf", "mmproj-BF16.gguf")),
        (("9B-mmproj-F16.gguf", "4B-mmproj-BF16.gguf"), "4B-Q8_0.gguf", ("4B-mmproj-BF16.gguf",)),
        (
            ("mmproj-F16.gguf", "mmproj-Qwen3.5-4B-BF16.gguf", "mmproj-Qwen3.5-9B-F16.gguf"),
            "Qwen3.5-4B-UD-Q4_K_XL.gguf",
            ("mmproj-Qwen3.5-4B-BF16.gguf", "mmproj-F16.gguf"),
        ),
    ],
)
def test_projectors_go_by_the_models_name_then_by_width(
    listed: tuple[str, ...], model: str, found: tuple[str, ...]
) -> None:
    assert names.projectors(listed, model) == found


@pytest.mark.parametrize(
    ("text", "quant", "reference"),
    [
        ("qwen3.5:9b", None, Size(size="9b")),
        ("qwen3.5:9b-q8_0", None, Size(size="9b", quant="Q8_0")),
        ("Qwen3.5-9B", None, Size(size="9b")),
        ("Qwen/Qwen3.5-9B", None, Size(size="9b")),
        ("https://huggingface.co/Qwen/Qwen3.5-9B", None, Size(size="9b")),
        ("qwen3.5-9b-q4_k_m", None, Size(size="9b", quant="Q4_K_M")),
        ("9b:q5", None, Size(size="9b", quant="Q5_K_M")),
        ("9b:Q4", "Q4_K_M", Size(size="9b", quant="Q4_K_M")),
        ("4b", "q2", Size(size="4b", quant="UD-Q2_K_XL")),
        ("hf.co/o/r:Q8_0", None, HubFile(repo="o/r", quant="Q8_0")),
        ("https://huggingface.co/o/r", None, HubFile(repo="o/r")),
        ("https://huggingface.co/o/r/tree/main", None, HubFile(repo="o/r")),
        (
            "https://huggingface.co/o/r/blob/main/a/x%20y.gguf?download=true",
            None,
            HubFile(repo="o/r", file="a/x y.gguf"),
        ),
    ],
)
def test_names_that_people_paste_are_understood(
    text: str, quant: str | None, reference: Reference
) -> None:
    assert parse(text, quant, load()) == reference


@pytest.mark.parametrize("text", ["a" * 290, "~nosuchuser/x.gguf", "a\0b", "o/" + "r" * 290])
def test_a_name_that_can_be_nothing_is_one_error(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text, None, load())
    assert len(caught.value.message) < 300
