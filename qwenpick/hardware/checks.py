"""What may be wrong with an installation: one pure check a function, each with its fix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from qwenpick import units

if TYPE_CHECKING:
    from qwenpick.hardware.build import Build
    from qwenpick.hardware.machine import Machine

State = Literal["good", "warning", "bad"]
INSTALL = "qwenpick engine install"


class Check(Struct, frozen=True, kw_only=True, rename={"fix": "mend"}):
    """What one check found, with the keys of `doctor --json`."""

    name: str
    state: State
    found: str
    fix: str | None = None
    """What to type, None where all is good."""


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
    """Programs that compiling needs and that are not installed."""
    smallest: int
    """Bytes of the smallest model's file."""
    largest: int
    """Bytes of the largest file that a pick may take."""
    disk_kind: str = ""
    """What makes the cache's disk slow, empty where nothing does."""
    hub: str
    """Its address."""
    hub_problem: str = ""
    token_problem: str = ""
    has_token: bool = False
    offline: bool = False
    swap_used: int = 0
    on_battery: bool = False
    saves_power: bool = False


def run_checks(found: CheckInputs) -> list[Check]:
    """Make all checks, in the order in which a person would fix them."""
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
    """Does the engine support this GPU."""
    gpus = found.machine.gpus
    if not gpus:
        return _good("GPU", "none; models run on the CPU")
    named = gpus[0].name if len(gpus) == 1 else f"{len(gpus)} GPUs ({gpus[0].name}, ...)"
    build = found.machine.engine
    if not build.installed:
        return _warning("GPU", f"{named}, but no engine is installed", INSTALL)
    if build.drives(gpus[0]):
        return _good("GPU", f"{named}; the engine supports it")
    built_for = " and ".join(build.backends).replace("cpu", "CPU") or "an unknown backend"
    wheels = found.fits.wheels
    fits = (
        f"the prebuilt {wheels} engine supports it"
        if wheels
        else f"an engine for {found.fits.backend} has to be compiled"
    )
    return _bad("GPU", f"{named}, but the engine is built for {built_for}; {fits}", INSTALL)


def compiler(found: CheckInputs) -> Check:
    """Can the engine be compiled, where it has to be."""
    if found.fits.wheels:
        return _good("compiler", "not needed: there is a prebuilt engine for this machine")
    if not found.missing:
        return _good("compiler", "installed")
    lacking = ", ".join(found.missing)
    fix = {
        "Linux": "sudo apt install build-essential (Debian, Ubuntu), and the toolkit of the GPU",
        "macOS": "xcode-select --install",
    }.get(found.machine.os.split(" ")[0], "winget install Microsoft.VisualStudio.2022.BuildTools")
    if found.trial is not None and found.trial.started:
        return _warning(
            "compiler", f"{lacking} not found; a faster engine could be compiled with it", fix
        )
    return _bad("compiler", f"{lacking} not found; the engine has to be compiled", fix)


def memory(found: CheckInputs) -> Check:
    """Is there memory for the smallest model."""
    there = found.machine.memory
    room = there.available if there.limit is None else min(there.limit, there.available)
    at_all = there.total if there.limit is None else there.limit
    if at_all < found.smallest:
        source = there.limit_source or "RAM"
        return _bad(
            "memory",
            f"{units.memory(at_all)} ({source}); the smallest model alone needs "
            f"{units.memory(found.smallest)}",
            "Raise the limit; for a container: docker run --memory 2g",
        )
    if room < found.smallest:
        return _warning(
            "memory",
            f"{units.memory(room)} available, too little for the smallest model",
            "Close other programs, then: qwenpick recommend",
        )
    return _good("memory", f"{units.memory(room)} available")


def swap(found: CheckInputs) -> Check:
    """Is the system swapping."""
    if found.swap_used >= 64 * units.MIB:
        return _warning(
            "swap",
            f"{units.memory(found.swap_used)} in use; a model that is swapped out answers slowly",
            "Close other programs, then: sudo swapoff -a && sudo swapon -a",
        )
    return _good("swap", "not in use")


def space(found: CheckInputs) -> Check:
    """Is there disk space for a download."""
    free = found.machine.disk.free
    elsewhere = "export HF_HOME=/path/on/a/larger/disk"
    if free is None:
        return _warning("space", "free space of the cache's disk is unknown", elsewhere)
    if free < found.smallest:
        return _bad("space", f"{units.download(free)} free, too little for any model", elsewhere)
    if free < found.largest:
        return _warning(
            "space",
            f"{units.download(free)} free; the largest file needs {units.download(found.largest)}",
            "qwenpick list, qwenpick rm MODEL",
        )
    return _good("space", f"{units.download(free)} free")


def disk(found: CheckInputs) -> Check:
    """Is the cache on a disk that makes loading slow."""
    if found.disk_kind:
        return _warning(
            "disk",
            f"the cache is on {found.disk_kind}; models load slowly from it",
            "export HF_HOME=/path/on/a/fast/disk",
        )
    return _good("disk", "not known to be slow")


def hub(found: CheckInputs) -> Check:
    """Does Hugging Face, or the mirror in its place, answer."""
    if found.offline:
        return _good("hub", "not checked: HF_HUB_OFFLINE is set")
    if found.hub_problem:
        return _bad(
            "hub",
            found.hub_problem,
            "export HF_ENDPOINT=https://hf-mirror.com, or: qwenpick pull --source modelscope",
        )
    return _good("hub", f"{found.hub} answers")


def token(found: CheckInputs) -> Check:
    """Is a token refused."""
    if found.token_problem:
        return _bad("token", found.token_problem, "hf auth login, or: unset HF_TOKEN")
    if found.has_token and found.hub_problem:
        return _good("token", "set, not checked")
    return _good("token", "accepted" if found.has_token else "not set, and not needed")


def power(found: CheckInputs) -> Check:
    """Does a battery or a power mode slow the machine down."""
    if found.saves_power:
        return _warning(
            "power", "the power mode saves energy; many machines run at half speed",
            "powerprofilesctl set performance",
        )  # fmt: skip
    if found.on_battery:
        return _warning("power", "on battery; many machines are slower", "Plug it in.")
    return _good("power", "full speed")


def _good(name: str, found: str) -> Check:
    return Check(name=name, state="good", found=found)


def _warning(name: str, found: str, fix: str) -> Check:
    return Check(name=name, state="warning", found=found, fix=fix)


def _bad(name: str, found: str, fix: str) -> Check:
    return Check(name=name, state="bad", found=found, fix=fix)
