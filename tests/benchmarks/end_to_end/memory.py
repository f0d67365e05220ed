"""Measure the memory of a worker with many processes: a model of base size, before, under and after full load."""

import asyncio
import itertools
from collections.abc import Iterator

from benchmarks.end_to_end import systems
from benchmarks.end_to_end.plan import Plan
from benchmarks.end_to_end.throughput import run_closed_loop
from benchmarks.memory import PeakMemory, read_pss
from benchmarks.memory_base import LONG, SHORT, random_texts
from hanner_inference.package import open_package

PROCESSES = 4
SECONDS = 6.0


def measure(plan: Plan) -> dict:
    """Return the proportional set sizes in bytes, the parent first."""
    size = plan.base()
    with systems.hanner(size.model, PROCESSES, plan.scratch) as system:
        idle = read_pss(system.process.pid)
        with PeakMemory(system.process.pid) as peak:
            asyncio.run(run_closed_loop(system, requests(), 2 * PROCESSES, max(2, SECONDS * plan.scale)))
        after = read_pss(system.process.pid)
    row = {"size": size.name, "model": open_package(size.model).id, "processes": PROCESSES}
    return row | {"idle": idle, "peak": peak.highest, "after": after}


def requests() -> Iterator[list[str]]:
    """Return an endless iterator of the requests of memory_base.py: many short texts, and few long ones."""
    return (random_texts(count, length) for count, length in itertools.cycle((SHORT, SHORT, SHORT, LONG, LONG)))
