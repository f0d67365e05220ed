"""Measure the cold start: from the start of the program to the first result, with files in the page cache."""

import statistics

from benchmarks.end_to_end import systems
from benchmarks.end_to_end.engine_processes import EngineProcesses
from benchmarks.end_to_end.plan import Plan

ROUNDS = 4


def measure(plan: Plan) -> list[dict]:
    """Return a row per model: median seconds of the engine alone, and of a worker with one process per core."""
    rows = []
    for size in plan.sizes():
        engine, worker = [], []
        for _ in range(max(1, round(ROUNDS * plan.scale))):
            with EngineProcesses(size.model, 1, plan.texts[:1]) as engines:
                engine.append(engines.cold)
            with systems.hanner(size.model, plan.cores, plan.scratch) as system:
                worker.append(system.cold)
        row = {"size": size.name, "model": engines.model, "rounds": len(worker)}
        times = {"engine alone": statistics.median(engine), "worker": statistics.median(worker)}
        rows.append(row | {name: round(each, 3) for name, each in times.items()})
    return rows
