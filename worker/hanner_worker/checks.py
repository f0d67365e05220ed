"""What `hanner doctor` looks at on a machine that can run a worker: the model package, the engine, the processor."""

import os
import platform
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

from hanner.cli.doctor.result import CheckResult, fail, ok, warn
from hanner.errors import HannerError
from hanner.settings import Settings

FAST = {
    "x86_64": ("amx_int8", "avx512_vnni", "avx_vnni"),
    "aarch64": ("i8mm", "asimddp"),
}
"""Flags of processors that multiply 8-bit integers fast, best first, as /proc/cpuinfo spells them."""
CPUINFO = Path("/proc/cpuinfo")


def checks(settings: Settings) -> Iterator[CheckResult]:
    """Look at everything; each step only when the one before it was well."""
    yield processor(platform.machine(), _cpuinfo())
    yield processes(settings.concurrency, _cores())
    try:
        from hanner_inference import load  # noqa: PLC0415 - numpy and onnxruntime, which may be missing
        from hanner_inference.package import open_package  # noqa: PLC0415
    except ImportError as error:
        yield fail("engine", f"{error.name} is missing", "pip install 'hanner[worker]'")
        return
    try:
        package = open_package(settings.model or None)
    except HannerError as error:
        yield fail("model", str(error), "set HANNER_MODEL to a good package, or unset it for the bundled one")
        return
    yield ok("model", f"{package.id} in {package.path}, every digest as in its manifest")
    try:
        began = perf_counter()
        load(settings.model or None, settings=settings)
        yield ok("engine", f"{settings.engine} opens the model and runs it, {perf_counter() - began:.1f} s")
    except (HannerError, ImportError) as error:
        yield fail("engine", str(error), "unset HANNER_ENGINE, or install what it needs")


def processor(machine: str, cpuinfo: str) -> CheckResult:
    """Say whether the processor has instructions for INT8.

    Args:
        machine: Its kind, as `platform.machine` says it.
        cpuinfo: The text of /proc/cpuinfo; empty where there is none.
    """
    lines = [line.partition(":") for line in cpuinfo.splitlines()]
    flags = {flag for key, _, value in lines if key.strip() in {"flags", "Features"} for flag in value.split()}
    wanted = FAST.get(machine, ())
    found = [flag for flag in wanted if flag in flags]
    if found:
        return ok("processor", f"{machine} with {', '.join(found)}")
    if not flags or not wanted:
        return ok("processor", f"{machine}; its flags cannot be read here")
    return warn(
        "processor",
        f"{machine} without {', '.join(wanted)}: INT8 works, at about a third of the speed",
        "run workers on a processor with one of these",
    )


def processes(concurrency: int, cores: int) -> CheckResult:
    """Say whether there are as many processes as cores."""
    if concurrency > cores:
        return warn(
            "processes",
            f"HANNER_CONCURRENCY is {concurrency} and this machine has {cores} cores for it",
            "unset it: one process per core is fastest",
        )
    return ok("processes", f"{concurrency or cores} on {cores} cores")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cpuinfo() -> str:
    try:
        return CPUINFO.read_text("utf-8", errors="replace")
    except OSError:
        return ""
