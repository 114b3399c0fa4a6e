"""GPUs of AMD, Intel, Apple and under Windows, as each system shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace
from trees import GIB, machine, meminfo

from qwenpick.hardware.gpus import visible
from qwenpick.hardware.machine import Gpu
from qwenpick.hardware.probe import probe

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from qwenpick.hardware.system_reader import SystemReader

CARD = "/sys/class/drm/card0/device"


def device(vendor: str, ident: str, driver: str, slot: str = "0000:03:00.0") -> dict[str, str]:
    return {
        f"{CARD}/vendor": f"0x{vendor}\n",
        f"{CARD}/device": f"0x{ident}\n",
        f"{CARD}/revision": "0xc8\n",
        f"{CARD}/uevent": f"DRIVER={driver}\nPCI_SLOT_NAME={slot}\n",
    }


def pools(vram: int, gtt: int, used: int = 0) -> dict[str, str]:
    return {
        f"{CARD}/mem_info_vram_total": str(vram),
        f"{CARD}/mem_info_vram_used": str(used),
        f"{CARD}/mem_info_gtt_total": str(gtt),
        f"{CARD}/mem_info_gtt_used": "0",
    }


def test_a_card_of_amd(tmp_path: Path) -> None:
    files = device("1002", "744c", "amdgpu") | pools(24 * GIB, 32 * GIB, used=GIB)
    files |= {
        f"{CARD}/mem_info_vram_vendor": "samsung\n",
        "/usr/share/libdrm/amdgpu.ids": "1.0.0\n744C,\tC8,\tAMD Radeon RX 7900 XTX\n",
    }
    (card,) = probe(machine(tmp_path, files)).gpus
    assert (card.name, card.total, card.free) == ("AMD Radeon RX 7900 XTX", 24 * GIB, 23 * GIB)
    assert not card.unified
    assert card.bandwidth_bytes_per_second == 960e9


def test_strix_halo_borrows_from_the_ram(tmp_path: Path) -> None:
    files = device("1002", "1586", "amdgpu") | pools(GIB // 2, 120 * GIB)
    files |= {
        "/proc/cpuinfo": "model name : AMD RYZEN AI MAX+ 395 w/ Radeon 8060S\n",
        "/proc/meminfo": meminfo(125 * GIB, 110 * GIB),
    }
    found = probe(machine(tmp_path, files))
    (gpu,) = found.gpus
    assert (gpu.name, gpu.unified) == ("AMD Radeon 8060S", True)
    assert (gpu.total, gpu.free) == (120 * GIB, 110 * GIB)
    assert gpu.bandwidth_bytes_per_second == 256e9
    assert found.memory.bandwidth_bytes_per_second == 256e9
    assert any("borrowed from the RAM" in note for note in found.notes)


def test_a_card_that_does_not_name_its_memorys_maker_is_told_by_its_measurements(
    tmp_path: Path,
) -> None:
    files = device("1002", "73bf", "amdgpu") | pools(16 * GIB, 32 * GIB)
    sources = machine(tmp_path, files)
    (tmp_path / CARD.lstrip("/") / "gpu_metrics").write_bytes(b"\x78\x00\x01\x03")
    (card,) = probe(sources).gpus
    assert (card.total, card.unified) == (16 * GIB, False)
    (tmp_path / CARD.lstrip("/") / "gpu_metrics").write_bytes(b"\x78\x00\x02\x04")
    (inside,) = probe(sources).gpus
    assert (inside.total, inside.unified) == (32 * GIB, True)


def test_a_jetson_without_nvml(tmp_path: Path) -> None:
    board = "NVIDIA Jetson Orin Nano Developer Kit\0"
    memory = meminfo(int(7.4 * GIB), 6 * GIB)
    files = {"/proc/device-tree/model": board, "/proc/meminfo": memory}
    found = probe(machine(tmp_path, files))
    (gpu,) = found.gpus
    assert (gpu.vendor, gpu.unified, gpu.free) == ("nvidia", True, 6 * GIB)
    assert gpu.bandwidth_bytes_per_second == found.memory.bandwidth_bytes_per_second == 68.22e9


def test_a_raspberry_pi(tmp_path: Path) -> None:
    files = {"/proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0\0"}
    found = probe(machine(tmp_path, files))
    assert found.cpu.name == "Raspberry Pi 5 Model B Rev 1.0"
    assert found.memory.bandwidth_bytes_per_second == 17e9


def test_an_apu_whose_firmware_sets_most_aside_is_a_card_of_its_own(tmp_path: Path) -> None:
    files = device("1002", "1586", "amdgpu") | pools(96 * GIB, 16 * GIB)
    files["/proc/meminfo"] = meminfo(31 * GIB, 28 * GIB)
    (gpu,) = probe(machine(tmp_path, files)).gpus
    assert (gpu.total, gpu.unified) == (96 * GIB, False)


def test_an_amd_card_without_its_driver_is_a_note(tmp_path: Path) -> None:
    found = probe(machine(tmp_path, device("1002", "744c", "vfio-pci")))
    assert found.gpus == ()
    assert any("vfio-pci" in note for note in found.notes)


@pytest.mark.parametrize(("named", "count"), [("0", 1), ("", 0), ("1", 0)])
def test_hip_visible_devices_is_obeyed(tmp_path: Path, named: str, count: int) -> None:
    files = device("1002", "744c", "amdgpu") | pools(24 * GIB, 32 * GIB)
    sources = machine(tmp_path, files, environment={"HIP_VISIBLE_DEVICES": named})
    found = probe(sources)
    assert len(found.gpus) == count
    assert any("HIP_VISIBLE_DEVICES hides" in note for note in found.notes) == (not count)


def test_vulkans_variable_counts_where_the_engine_has_vulkan(tmp_path: Path) -> None:
    files = device("1002", "744c", "amdgpu") | pools(24 * GIB, 32 * GIB)
    site = tmp_path / "site"
    for name in ("llama_cpp/__init__.py", "llama_cpp/lib/libggml-vulkan.so"):
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).touch()
    sources = machine(tmp_path, files, environment={"GGML_VK_VISIBLE_DEVICES": ""})
    assert len(probe(sources).gpus) == 1
    assert probe(replace(sources, search=(str(site),))).gpus == ()


def test_an_arc_card_is_known_by_its_id(tmp_path: Path) -> None:
    window = "0x0 0x0 0x0\n0x0 0x0 0x0\n0x4000000000 0x43ffffffff 0x14220c\n"
    files = device("8086", "e20b", "xe") | {f"{CARD}/resource": window}
    found = probe(machine(tmp_path, files))
    (card,) = found.gpus
    assert (card.name, card.total, card.free) == ("Intel Arc B580 12GB", 12 * GIB, None)
    assert card.bandwidth_bytes_per_second == 456e9
    assert not any("resizable" in note for note in found.notes)


def test_an_arc_card_without_resizable_bar_is_noted(tmp_path: Path) -> None:
    window = "0x0 0x0 0x0\n0x0 0x0 0x0\n0x4000000000 0x400fffffff 0x14220c\n"
    files = device("8086", "56a0", "i915") | {f"{CARD}/resource": window}
    found = probe(machine(tmp_path, files))
    assert any("resizable BAR is off" in note for note in found.notes)


def test_a_gpu_inside_an_intel_processor_shares_the_ram(tmp_path: Path) -> None:
    window = "0x0 0x0 0x0\n0x0 0x0 0x0\n0x4000000000 0x400fffffff 0x14220c\n"
    files = device("8086", "a7a0", "i915", slot="0000:00:02.0")
    files |= {
        f"{CARD}/resource": window,
        "/usr/share/misc/pci.ids": "8086  Intel Corporation\n"
        "\ta7a0  Raptor Lake-P [Iris Xe Graphics]\n",
    }
    (gpu,) = probe(machine(tmp_path, files)).gpus
    assert (gpu.name, gpu.unified, gpu.total) == ("Intel Iris Xe Graphics", True, None)


def apple(values: Mapping[str, str], tmp_path: Path) -> SystemReader:
    return replace(
        machine(tmp_path, {"/proc/meminfo": meminfo(16 * GIB, 10 * GIB)}),
        platform="darwin", arch="arm64", sysctl=values.get,
    )  # fmt: skip


M4 = {
    "machdep.cpu.brand_string": "Apple M4",
    "kern.osproductversion": "15.3",
    "hw.physicalcpu": "10",
    "hw.perflevel0.physicalcpu": "4",
    "hw.optional.arm.FEAT_DotProd": "1",
    "hw.optional.arm.FEAT_I8MM": "1",
}


def test_apples_memory_is_one_and_metal_may_have_a_part(tmp_path: Path) -> None:
    found = probe(apple(M4, tmp_path))
    (gpu,) = found.gpus
    assert (found.os, found.cpu.physical_cores, found.cpu.usable_threads) == ("macOS 15.3", 10, 4)
    assert found.cpu.features == ("dotprod", "i8mm")
    assert (gpu.unified, gpu.total, gpu.free) == (True, 16 * GIB * 2 // 3, 10 * GIB)
    assert gpu.bandwidth_bytes_per_second == 120e9


def test_apples_wired_limit_is_obeyed(tmp_path: Path) -> None:
    (gpu,) = probe(apple(M4 | {"iogpu.wired_limit_mb": "14336"}, tmp_path)).gpus
    assert gpu.total == 14 * GIB


def test_a_mac_with_an_intel_processor_has_no_gpu_that_helps(tmp_path: Path) -> None:
    sources = replace(apple({"hw.physicalcpu": "6"}, tmp_path), arch="x86_64")
    found = probe(sources)
    assert (found.gpus, found.cpu.usable_threads) == ((), 6)


def test_windows_names_cards_of_amd_and_intel(tmp_path: Path) -> None:
    displays = (
        {"DriverDesc": "AMD Radeon RX 6800 XT", "DriverVersion": "32.0",
         "HardwareInformation.qwMemorySize": 16 * GIB},
        {"DriverDesc": "Intel(R) UHD Graphics 770", "HardwareInformation.qwMemorySize": GIB},
        {"DriverDesc": "Microsoft Basic Display Adapter"},
    )  # fmt: skip
    sources = replace(
        machine(tmp_path, {}, environment={"PROCESSOR_IDENTIFIER": "Intel64 Family 6"}),
        platform="win32", arch="AMD64", registry=lambda _key: displays,
        processor_feature=lambda number: number == 40,
    )  # fmt: skip
    found = probe(sources)
    card, inside = found.gpus
    assert (card.vendor, card.total, card.unified) == ("amd", 16 * GIB, False)
    assert (inside.vendor, inside.total, inside.unified) == ("intel", None, True)
    assert found.cpu.features == ("avx2",)
    assert found.os.startswith("Windows")


def test_visible_ends_at_the_first_that_is_none() -> None:
    cards = [Gpu(vendor="nvidia", name=name, total=1, free=1) for name in "abc"]
    assert [card.name for card in visible(cards, "2,0,7,1")] == ["c", "a"]
