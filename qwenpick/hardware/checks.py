"""What may be wrong with a set-up: one check a function, each pure, each with what mends it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from qwenpick import units

if TYPE_CHECKING:
    from qwenpick.hardware.build import Build
    from qwenpick.hardware.machine import Machine

State = Literal["good", "warning", "bad"]
INSTALL = "qwenpick engine install"


class Check(Struct, frozen=True, kw_only=True):
    """What one check found, with the keys of `doctor --json`."""

    name: str
    state: State
    found: str
    mend: str | None = None


class EngineTrial(Struct, frozen=True, kw_only=True):
    """How the engine did when a child process imported it."""

    started: bool
    knows_qwen35: bool = False
    problem: str = ""


class CheckInputs(Struct, frozen=True, kw_only=True):
    """All that the checks look at."""

    machine: Machine
    fits: Build
    trial: EngineTrial | None
    """None without an engine."""
    missing: tuple[str, ...] = ()
    """Programs that compiling takes and that are not here."""
    smallest: int
    """Bytes of the smallest model's file."""
    largest: int
    """Bytes of the largest file that a pick may take."""
    disk_kind: str = ""
    """What makes the cache's disk slow; empty where nothing is known to."""
    hub: str
    hub_problem: str = ""
    token_problem: str = ""
    has_token: bool = False
    offline: bool = False
    swap_used: int = 0
    on_battery: bool = False
    saves_power: bool = False


def run_checks(found: CheckInputs) -> list[Check]:
    """Make all checks, in the order in which a person would mend them."""
    return [
        engine(found), backend(found), compiler(found), memory(found), swap(found), space(found),
        disk(found), hub(found), token(found), power(found),
    ]  # fmt: skip


def engine(found: CheckInputs) -> Check:
    """Is there an engine, does it start, does it know Qwen3.5."""
    build, trial = found.machine.engine, found.trial
    if trial is None:
        return _bad("engine", "not installed", INSTALL)
    name = f"llama-cpp-python {build.version or 'of unknown version'}"
    if not trial.started:
        compile_it = f'CMAKE_ARGS="-DGGML_NATIVE=on" {INSTALL}'
        return _bad("engine", f"{name} does not start: {trial.problem}", compile_it)
    if build.knows_qwen35 is False or not trial.knows_qwen35:
        return _bad("engine", f"{name} is too old to know Qwen3.5", INSTALL)
    return _good("engine", f"{name} starts and knows Qwen3.5")


def backend(found: CheckInputs) -> Check:
    """Can the engine drive the GPU that is here."""
    gpus = found.machine.gpus
    if not gpus:
        return _good("GPU", "none; the processor does the work")
    named = gpus[0].name if len(gpus) == 1 else f"{len(gpus)} GPUs ({gpus[0].name}, ...)"
    build = found.machine.engine
    if not build.installed:
        return _warning("GPU", f"{named}, and no engine yet", INSTALL)
    drives = {"nvidia": {"cuda", "vulkan"}, "apple": {"metal"}, "amd": {"hip", "vulkan"},
              "intel": {"sycl", "vulkan"}}.get(gpus[0].vendor, set())  # fmt: skip
    if drives & set(build.backends):
        return _good("GPU", f"{named}, and an engine that drives it")
    built_for = " and ".join(build.backends).replace("cpu", "CPU") or "an unknown backend"
    wheels = found.fits.wheels
    fits = (
        f"the wheel {wheels} fits" if wheels else f"it has to be compiled for {found.fits.backend}"
    )
    return _bad("GPU", f"GPU found ({named}), engine built for {built_for}; {fits}", INSTALL)


def compiler(found: CheckInputs) -> Check:
    """Is there what compiling the engine takes, where no wheel fits."""
    if found.fits.wheels:
        return _good("compiler", "not needed: a wheel fits this machine")
    if not found.missing:
        return _good("compiler", "here")
    lacking = ", ".join(found.missing)
    mend = {
        "Linux": "sudo apt install build-essential (Debian, Ubuntu), and the toolkit of the GPU",
        "macOS": "xcode-select --install",
    }.get(found.machine.os.split(" ")[0], "winget install Microsoft.VisualStudio.2022.BuildTools")
    if found.trial is not None and found.trial.started:
        return _warning("compiler", f"missing for a better engine: {lacking}", mend)
    return _bad("compiler", f"missing: {lacking}", mend)


def memory(found: CheckInputs) -> Check:
    """Is there room for the smallest model."""
    there = found.machine.memory
    room = there.available if there.limit is None else min(there.limit, there.available)
    at_all = there.total if there.limit is None else there.limit
    if at_all < found.smallest:
        source = there.limit_source or "the machine's memory"
        return _bad(
            "memory",
            f"{source}: {units.memory(at_all)}, the smallest model's file alone has "
            f"{units.memory(found.smallest)}",
            "Raise the limit, for a container: docker run --memory 2g",
        )
    if room < found.smallest:
        return _warning(
            "memory",
            f"{units.memory(room)} available now, too little for the smallest model",
            "Close other programs, then: qwenpick recommend",
        )
    return _good("memory", f"{units.memory(room)} available")


def swap(found: CheckInputs) -> Check:
    """Is the system swapping."""
    if found.swap_used >= 64 * units.MIB:
        return _warning(
            "swap",
            f"{units.memory(found.swap_used)} in use: a model that is swapped out answers slowly",
            "Close other programs, then: sudo swapoff -a && sudo swapon -a",
        )
    return _good("swap", "not in use")


def space(found: CheckInputs) -> Check:
    """Is there room for a download."""
    free = found.machine.disk.free
    elsewhere = "export HF_HOME=/path/on/a/larger/disk"
    if free is None:
        return _warning("space", "the cache's disk can't be asked", elsewhere)
    if free < found.smallest:
        return _bad("space", f"{units.download(free)} free, too little for any model", elsewhere)
    if free < found.largest:
        return _warning(
            "space",
            f"{units.download(free)} free; a 9B needs up to {units.download(found.largest)}",
            "qwenpick list, qwenpick rm MODEL",
        )
    return _good("space", f"{units.download(free)} free")


def disk(found: CheckInputs) -> Check:
    """Is the cache on a disk that makes loading slow."""
    if found.disk_kind:
        return _warning(
            "disk",
            f"the cache is on {found.disk_kind}: loading a model takes long",
            "export HF_HOME=/path/on/a/fast/disk",
        )
    return _good("disk", "nothing known against it")


def hub(found: CheckInputs) -> Check:
    """Can the hub be reached."""
    if found.offline:
        return _good("hub", "not asked, as HF_HUB_OFFLINE says")
    if found.hub_problem:
        return _bad(
            "hub",
            f"{found.hub} can't be reached: {found.hub_problem}",
            "export HF_ENDPOINT=https://hf-mirror.com, or: qwenpick pull --source modelscope",
        )
    return _good("hub", f"{found.hub} answers")


def token(found: CheckInputs) -> Check:
    """Is a token refused."""
    if found.token_problem:
        return _bad("token", found.token_problem, "hf auth login, or: unset HF_TOKEN")
    if found.has_token and found.hub_problem:
        return _good("token", "there, not tried")
    return _good("token", "accepted" if found.has_token else "none, and none is needed")


def power(found: CheckInputs) -> Check:
    """Does a battery or a power mode slow the machine."""
    if found.saves_power:
        return _warning(
            "power", "the power mode saves energy: about half the speed on many machines",
            "powerprofilesctl set performance",
        )  # fmt: skip
    if found.on_battery:
        return _warning("power", "on battery: many machines are slower then", "Plug it in.")
    return _good("power", "nothing that slows it")


def _good(name: str, found: str) -> Check:
    return Check(name=name, state="good", found=found)


def _warning(name: str, found: str, mend: str) -> Check:
    return Check(name=name, state="warning", found=found, mend=mend)


def _bad(name: str, found: str, mend: str) -> Check:
    return Check(name=name, state="bad", found=found, mend=mend)
