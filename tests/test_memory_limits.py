"""What a container leaves: memory and processors, v1 and v2, at every level."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from trees import GIB, V1, V2, machine, meminfo, processors

from qwenpick.hardware.probe import probe

if TYPE_CHECKING:
    from pathlib import Path


def test_a_machine_without_limits_has_what_the_system_calls_available(tmp_path: Path) -> None:
    memory = probe(machine(tmp_path, {})).memory
    assert (memory.total, memory.available, memory.limit) == (64 * GIB, 60 * GIB, None)


def test_v2_limit_of_the_own_group_less_what_is_used(tmp_path: Path) -> None:
    group = "/sys/fs/cgroup/app"
    memory = probe(
        machine(
            tmp_path,
            {
                "/proc/self/cgroup": "0::/app\n",
                "/proc/self/mountinfo": V2,
                f"{group}/memory.max": str(2 * GIB),
                f"{group}/memory.high": "max",
                f"{group}/memory.current": str(GIB),
                f"{group}/memory.stat": "anon 1\ninactive_file 0\nactive_file 0\n",
            },
        )
    ).memory
    assert (memory.limit, memory.available) == (2 * GIB, GIB)
    assert memory.limit_source == "limit of the control group (/app, cgroup v2)"


def test_page_cache_of_the_group_is_free(tmp_path: Path) -> None:
    group = "/sys/fs/cgroup/app"
    memory = probe(
        machine(
            tmp_path,
            {
                "/proc/self/cgroup": "0::/app\n",
                "/proc/self/mountinfo": V2,
                f"{group}/memory.max": str(4 * GIB),
                f"{group}/memory.current": str(3 * GIB),
                f"{group}/memory.stat": f"inactive_file {GIB}\nactive_file {GIB}\n"
                f"slab_reclaimable {GIB // 2}\nshmem 5\n",
            },
        )
    ).memory
    assert memory.available == 4 * GIB - GIB // 2


def test_the_smallest_of_nested_groups_counts(tmp_path: Path) -> None:
    top = "/sys/fs/cgroup"
    memory = probe(
        machine(
            tmp_path,
            {
                "/proc/self/cgroup": "0::/user.slice/session.scope/app\n",
                "/proc/self/mountinfo": V2,
                f"{top}/user.slice/memory.max": str(8 * GIB),
                f"{top}/user.slice/memory.current": str(7 * GIB),
                f"{top}/user.slice/session.scope/memory.max": "max",
                f"{top}/user.slice/session.scope/app/memory.max": str(6 * GIB),
                f"{top}/user.slice/session.scope/app/memory.current": str(GIB),
            },
        )
    ).memory
    # Its own limit is the smallest, but the slice above is nearly full
    assert (memory.limit, memory.available) == (6 * GIB, GIB)


def test_memory_high_limits_too(tmp_path: Path) -> None:
    group = "/sys/fs/cgroup/app"
    memory = probe(
        machine(
            tmp_path,
            {
                "/proc/self/cgroup": "0::/app\n",
                "/proc/self/mountinfo": V2,
                f"{group}/memory.max": "max",
                f"{group}/memory.high": str(3 * GIB),
                f"{group}/memory.current": "0",
            },
        )
    ).memory
    assert memory.limit == 3 * GIB


def test_v1_inside_a_container_that_sees_its_own_group_as_the_root(tmp_path: Path) -> None:
    ident = "3f" * 32
    group = "/sys/fs/cgroup/memory"
    memory = probe(
        machine(
            tmp_path,
            {
                "/.dockerenv": "",
                "/proc/self/cgroup": f"4:memory:/docker/{ident}\n1:name=systemd:/\n",
                "/proc/self/mountinfo": f"1 0 0:1 /docker/{ident} {group} rw - cgroup cgroup "
                "rw,memory\n",
                f"{group}/memory.limit_in_bytes": str(2 * GIB),
                f"{group}/memory.usage_in_bytes": str(GIB),
                f"{group}/memory.stat": f"total_inactive_file {GIB // 4}\n"
                f"total_active_file {GIB // 4}\ninactive_file 0\n",
            },
        )
    ).memory
    assert (memory.limit, memory.available) == (2 * GIB, 2 * GIB - GIB // 2)
    assert memory.limit_source == "limit of the container (cgroup v1)"


def test_v1_without_a_limit_writes_a_huge_one(tmp_path: Path) -> None:
    group = "/sys/fs/cgroup/memory"
    files = {
        "/proc/self/cgroup": "4:memory:/\n",
        "/proc/self/mountinfo": V1.format("memory"),
        f"{group}/memory.limit_in_bytes": "9223372036854771712",
        f"{group}/memory.usage_in_bytes": str(GIB),
    }
    assert probe(machine(tmp_path, files)).memory.limit is None


def test_wsl_says_whose_memory_it_is(tmp_path: Path) -> None:
    found = probe(
        machine(
            tmp_path,
            {
                "/proc/sys/kernel/osrelease": "6.6.87.2-microsoft-standard-WSL2",
                "/etc/os-release": 'PRETTY_NAME="Ubuntu 24.04.2 LTS"\n',
                "/proc/meminfo": meminfo(16 * GIB, 15 * GIB),
            },
        )
    )
    assert found.os == "Linux 6.6.87.2 (WSL2, Ubuntu 24.04.2 LTS)"
    assert any(".wslconfig" in note for note in found.notes)


@pytest.mark.parametrize(
    ("quota", "threads"), [("max 100000", 8), ("200000 100000", 2), ("50000 100000", 1)]
)
def test_v2_quota_sets_the_threads(tmp_path: Path, quota: str, threads: int) -> None:
    files = processors(8) | {
        "/proc/self/cgroup": "0::/app\n",
        "/proc/self/mountinfo": V2,
        "/sys/fs/cgroup/app/cpu.max": quota,
    }
    cpu = probe(machine(tmp_path, files)).cpu
    assert (cpu.physical_cores, cpu.usable_threads) == (8, threads)


def test_v1_quota_of_a_group_above(tmp_path: Path) -> None:
    files = processors(64) | {
        "/proc/self/cgroup": "2:cpu,cpuacct:/pod/app\n",
        "/proc/self/mountinfo": "1 0 0:1 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup "
        "rw,cpu,cpuacct\n",
        "/sys/fs/cgroup/cpu,cpuacct/pod/cpu.cfs_quota_us": "200000",
        "/sys/fs/cgroup/cpu,cpuacct/pod/cpu.cfs_period_us": "100000",
        "/sys/fs/cgroup/cpu,cpuacct/pod/app/cpu.cfs_quota_us": "-1",
        "/sys/fs/cgroup/cpu,cpuacct/pod/app/cpu.cfs_period_us": "100000",
    }
    cpu = probe(machine(tmp_path, files)).cpu
    assert (cpu.quota, cpu.usable_threads) == (2.0, 2)


def test_a_core_counts_once_however_many_threads_it_has(tmp_path: Path) -> None:
    cpu = probe(machine(tmp_path, processors(4, threads=2))).cpu
    assert (cpu.physical_cores, cpu.usable_threads) == (4, 4)


def test_affinity_counts_cores_not_threads(tmp_path: Path) -> None:
    sources = machine(tmp_path, processors(4, threads=2), affinity=frozenset({0, 1, 2}))
    assert probe(sources).cpu.usable_threads == 2


def test_efficiency_cores_of_intel_are_left_out(tmp_path: Path) -> None:
    files = processors(12) | {"/sys/devices/cpu_atom/cpus": "4-11\n"}
    assert probe(machine(tmp_path, files)).cpu.usable_threads == 4


def test_little_cores_of_arm_are_left_out(tmp_path: Path) -> None:
    capacity = dict.fromkeys(range(4), 250) | {4: 870, 5: 870, 6: 870, 7: 1024}
    files = processors(8, capacity=capacity)
    assert probe(machine(tmp_path, files)).cpu.usable_threads == 4


def test_a_system_that_shows_no_cores_is_bound_by_affinity(tmp_path: Path) -> None:
    sources = machine(tmp_path, {}, affinity=frozenset({0}))
    assert probe(sources).cpu.usable_threads == 1


def test_files_of_a_form_that_nobody_knows_are_passed_over(tmp_path: Path) -> None:
    files = {
        "/proc/self/cgroup": "what\n0::/app\n:\n",
        "/proc/self/mountinfo": "1 2\n - cgroup2\n" + V2,
        "/sys/fs/cgroup/app/memory.max": "a lot\n",
        "/sys/fs/cgroup/app/cpu.max": "max\n",
        "/proc/cpuinfo": "nothing here\n",
        "/sys/class/drm/card0/device/vendor": "0x8086",
    }
    found = probe(machine(tmp_path, files))
    assert (found.memory.limit, found.cpu.quota, found.gpus) == (None, None, ())


def test_features_are_those_that_the_engine_has_code_for(tmp_path: Path) -> None:
    files = {"/proc/cpuinfo": "model name : X\nFeatures : fp asimd asimddp i8mm sve crc32\n"}
    cpu = probe(machine(tmp_path, files)).cpu
    assert cpu.features == ("neon", "dotprod", "i8mm", "sve")
