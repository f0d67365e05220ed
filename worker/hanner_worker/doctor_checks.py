"""The checks of `hanner doctor` on a machine that can run a worker: processor, processes, model package, engine.

Reads /proc/cpuinfo and the model package, and loads the model.
"""

import os
import platform
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

from hanner.cli.doctor.result import CheckResult, fail, ok, warn
from hanner.errors import HannerError
from hanner.settings import Settings
from hanner.utils.packaging import install_hint

INT8_FLAGS = {
    "x86_64": ("amx_int8", "avx512_vnni", "avx_vnni"),
    "aarch64": ("i8mm", "asimddp"),
}
"""Flags in /proc/cpuinfo of processors with fast 8-bit integer multiplication, best first."""
CPUINFO = Path("/proc/cpuinfo")


def checks(settings: Settings) -> Iterator[CheckResult]:
    """Yield the results of all checks; a missing engine or an invalid package ends them."""
    yield processor(platform.machine(), _cpuinfo())
    yield processes(settings.concurrency, _cores())
    try:
        from hanner_inference import DictionaryError, load  # noqa: PLC0415 - needs numpy and onnxruntime
        from hanner_inference.package import open_package  # noqa: PLC0415
    except ImportError as error:
        yield fail("engine", f"{error.name} is missing", install_hint("worker"))
        return
    try:
        package = open_package(settings.model or None)
    except HannerError as error:
        yield fail(
            "model",
            str(error),
            "name a bundled model (`hanner model list`) or the folder of a valid package, or unset HANNER_MODEL",
        )
        return
    yield ok("model", f"{package.id} in {package.path}, all digests match the manifest")
    try:
        started = perf_counter()
        load(settings.model or None, settings=settings)
        yield ok("engine", f"{settings.engine} loads and runs the model, {perf_counter() - started:.1f} s")
    except DictionaryError as error:
        yield fail("dictionary", str(error), "correct the file, or unset HANNER_DICTIONARY")
    except (HannerError, ImportError) as error:
        yield fail("engine", str(error), "unset HANNER_ENGINE, or install the packages that it needs")


def processor(machine: str, cpuinfo: str) -> CheckResult:
    """Return whether the processor has instructions for INT8.

    Args:
        machine: kind of machine, from `platform.machine`.
        cpuinfo: content of /proc/cpuinfo; empty if it does not exist.
    """
    lines = [line.partition(":") for line in cpuinfo.splitlines()]
    flags = {flag for key, _, value in lines if key.strip() in {"flags", "Features"} for flag in value.split()}
    wanted = INT8_FLAGS.get(machine, ())
    available = [flag for flag in wanted if flag in flags]
    if available:
        return ok("processor", f"{machine} with {', '.join(available)}")
    if not flags or not wanted:
        return ok("processor", f"{machine}; its flags cannot be read on this system")
    return warn(
        "processor",
        f"{machine} without {', '.join(wanted)}: INT8 runs at about a third of the speed",
        "run workers on a processor with one of these flags",
    )


def processes(concurrency: int, cores: int) -> CheckResult:
    """Return whether there are at most as many processes as cores."""
    if concurrency > cores:
        return warn(
            "processes",
            f"HANNER_CONCURRENCY is {concurrency}, and this machine has {cores} cores",
            "unset HANNER_CONCURRENCY: one process per core is fastest",
        )
    return ok("processes", f"{concurrency or cores} on {cores} cores")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cpuinfo() -> str:
    try:
        return CPUINFO.read_text("utf-8", errors="replace")
    except OSError:
        return ""
