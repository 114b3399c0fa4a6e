"""The table of cards, and machines that are imagined with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace
from trees import GIB, machine

from qwenpick.cli.main import main
from qwenpick.errors import UsageError
from qwenpick.hardware import cards
from qwenpick.hardware.machine import Gpu, Machine
from qwenpick.hardware.override import override
from qwenpick.hardware.probe import probe

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def here(tmp_path: Path) -> Machine:
    card = Gpu(vendor="nvidia", name="RTX 3060 12GB", total=12 * GIB, free=11 * GIB)
    found = probe(machine(tmp_path, {}))
    memory = replace(found.memory, bandwidth_bytes_per_second=50e9)
    return replace(found, memory=memory, gpus=(card,))


def test_every_card_has_its_figures_and_their_source() -> None:
    table = cards.cards()
    assert len(table) >= 80
    assert len({card.name for card in table}) == len(table)
    for card in table:
        assert card.memory is None or card.memory >= GIB, card
        if card.vendor in {"arm", "android"}:  # boards and phones: often nobody says
            assert card.bandwidth is None or 10e9 < card.bandwidth < 100e9, card
        else:
            assert card.bandwidth is not None, card
            assert 20e9 < card.bandwidth < 10e12, card
        assert "https://" in card.source, card


def test_every_card_is_found_by_its_own_name() -> None:
    for card in cards.cards():
        assert cards.find(card.name) == card
        assert cards.find(card.name.upper()) == card


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("rtx 3060 12gb", "RTX 3060 12GB"),
        ("NVIDIA GeForce RTX 3060 12 GB", "RTX 3060 12GB"),
        ("RTX4090", "RTX 4090 24GB"),
        ("RTX 4090", "RTX 4090 24GB"),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", "RTX 4090 laptop 16GB"),
        ("rtx 4050", "RTX 4050 laptop 6GB"),
        ("RTX 4070 Ti", "RTX 4070 Ti 12GB"),
        ("RTX 4070 Ti Super", "RTX 4070 Ti SUPER 16GB"),
        ("M4 16GB", "M4 16GB"),
        ("GB10", "GB10 128GB"),
        ("Tesla T4", "T4 16GB"),
        ("A10", "A10 24GB"),
        ("Strix Halo 128GB", "Radeon 8060S 128GB"),
        ("Ryzen AI Max+ 395 64GB", "Radeon 8060S 64GB"),
        ("DGX Spark", "GB10 128GB"),
    ],
)
def test_a_name_finds_its_card(name: str, found: str) -> None:
    assert cards.find(name).name == found


def test_an_ambiguous_name_is_refused_with_the_choices(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recommend", "--gpu", "RTX 3060"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "RTX 3060 8GB" in said.err
    assert "RTX 3060 12GB" in said.err


def test_a_near_miss_is_suggested(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recommend", "--gpu", "RTX 3009"]) == 2
    assert "RTX 3090 24GB" in capsys.readouterr().err


def test_a_name_that_is_like_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recommend", "--gpu", "toaster"]) == 2
    assert "--vram" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "total", "rate"),
    [
        ("NVIDIA GeForce RTX 3060", 12 * GIB - (160 << 20), 360e9),
        ("NVIDIA GeForce RTX 3060", 8 * GIB, 240e9),
        ("NVIDIA GeForce RTX 3060", 5 * GIB, None),
        ("NVIDIA A100-SXM4-80GB", 80 * GIB, 2040e9),
        ("NVIDIA GeForce RTX 2060 with Max-Q Design", 6 * GIB, 264e9),
        ("Apple M4 Max", 36 * GIB, 410e9),
        ("Apple M4 Max", 64 * GIB, 546e9),
        ("A card of next year", 8 * GIB, None),
    ],
)
def test_bandwidth_by_the_drivers_name(name: str, total: int, rate: float | None) -> None:
    assert cards.bandwidth(name, total) == rate


def test_ram_alone_means_no_gpu(here: Machine) -> None:
    found = override(here, ram=6 * GIB, vram=None, gpus=())
    assert found.gpus == ()
    assert (found.memory.total, found.memory.available) == (6 * GIB, 6 * GIB)
    assert found.memory.bandwidth_bytes_per_second == 50e9


def test_a_gpu_alone_keeps_the_ram(here: Machine) -> None:
    found = override(here, ram=None, vram=None, gpus=("2x RTX 3090", "RTX 3060 12GB"))
    assert found.memory == here.memory
    assert [gpu.name for gpu in found.gpus] == ["RTX 3090 24GB"] * 2 + ["RTX 3060 12GB"]


def test_video_memory_alone_is_one_card_of_unknown_bandwidth(here: Machine) -> None:
    found = override(here, ram=None, vram=8 * GIB, gpus=())
    (card,) = found.gpus
    assert (card.total, card.free, card.bandwidth_bytes_per_second) == (8 * GIB, 8 * GIB, None)
    assert found.memory == here.memory


def test_video_memory_overrides_that_of_each_card(here: Machine) -> None:
    found = override(here, ram=4 * GIB, vram=8 * GIB, gpus=("2x RTX 3090",))
    assert [gpu.free for gpu in found.gpus] == [8 * GIB] * 2
    assert found.memory.available == 4 * GIB


def test_a_machine_of_one_memory_brings_its_own(here: Machine) -> None:
    found = override(here, ram=None, vram=None, gpus=("M4 16GB",))
    (gpu,) = found.gpus
    assert (gpu.unified, gpu.total, found.memory.total) == (True, 16 * GIB * 2 // 3, 16 * GIB)
    assert found.memory.bandwidth_bytes_per_second == gpu.bandwidth_bytes_per_second == 120e9


def test_of_one_memory_exactly_what_was_named_may_be_used(here: Machine) -> None:
    found = override(here, ram=12 * GIB, vram=None, gpus=("M4 16GB",))
    assert (found.gpus[0].free, found.memory.available) == (12 * GIB, 12 * GIB)


@pytest.mark.parametrize("gpus", [("M4 16GB", "RTX 3090"), ("0x RTX 3090",), ("99x RTX 3090",)])
def test_what_can_not_be_built_is_refused(here: Machine, gpus: tuple[str, ...]) -> None:
    with pytest.raises(UsageError):
        override(here, ram=None, vram=None, gpus=gpus)
