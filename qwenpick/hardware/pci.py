"""Graphics devices of Linux, as sysfs lists them, and their names from the system's own lists."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qwenpick.hardware.system_reader import SystemReader

_LISTS = ("/usr/share/hwdata/pci.ids", "/usr/share/misc/pci.ids")


class Device(Struct, frozen=True, kw_only=True):
    """One device: its folder in sysfs, its ids in hexadecimal, its kernel driver."""

    folder: str
    device: str
    revision: str
    driver: str


def devices(sources: SystemReader, vendor: str) -> Iterator[Device]:
    """Give the graphics devices of a vendor (`1002` AMD, `8086` Intel), in the kernel's order."""
    for name in sources.names("/sys/class/drm"):
        folder = f"/sys/class/drm/{name}/device"
        if not name.removeprefix("card").isdecimal():
            continue
        if sources.text(f"{folder}/vendor") == f"0x{vendor}":
            events = (sources.text(f"{folder}/uevent") or "").splitlines()
            driver = next((line[7:] for line in events if line.startswith("DRIVER=")), "")
            yield Device(
                folder=folder,
                device=(sources.text(f"{folder}/device") or "").removeprefix("0x"),
                revision=(sources.text(f"{folder}/revision") or "").removeprefix("0x"),
                driver=driver,
            )


def name(sources: SystemReader, vendor: str, device: str) -> str | None:
    """Find a device's name in the list of PCI ids that most systems carry."""
    for path in _LISTS:
        ours = False
        for line in (sources.text(path) or "").splitlines():
            if line[:1] not in "\t#":
                ours = line.startswith(vendor)
            elif ours and line.startswith(f"\t{device}"):
                text = line.strip().partition("  ")[2]
                return text.partition("[")[2].partition("]")[0] or text
    return None
