"""Texts per second through the queue, against the engine alone in the same turns; what that costs, and the memory."""

import asyncio
import contextlib
import time

from benchmarks.end_to_end import systems
from benchmarks.end_to_end.engines import Engines
from benchmarks.end_to_end.load import closed
from benchmarks.end_to_end.plan import Plan, Size
from benchmarks.memory import Peak, proportional

ALONE, ONE, MANY = "engine alone", "one text per task", "extract_many"
MEMORY_SECONDS = 3.0


def measure(plan: Plan) -> list[dict]:
    """Return a row per model and number of processes."""
    counts = sorted({1, plan.cores})
    return [measure_one(plan, size, processes) for size in (plan.default(), plan.base()) for processes in counts]


def measure_one(plan: Plan, size: Size, processes: int) -> dict:
    rounds, cpu = [], []
    with contextlib.ExitStack() as stack:
        engines = stack.enter_context(Engines(size.model, processes, plan.texts))
        system = stack.enter_context(systems.hanner(size.model, processes, plan.scratch))
        idle = proportional(system.process.pid)
        singles, many = plan.singles(), plan.many(size.slab)
        engines.run(0.5, size.slab)
        for _ in range(plan.rounds):
            flows = {}
            flows[ALONE], engine = engines.run(size.seconds, size.slab)
            flows[ONE], one = asyncio.run(watched(system, singles, size.window, size.seconds))
            flows[MANY], several = asyncio.run(watched(system, many, 3 * processes, size.seconds))
            say(f"{size.name}, {processes} processes", flows)
            rounds.append({name: [round(f.rate, 2), round(f.characters / f.seconds, 1)] for name, f in flows.items()})
            cpu.append({ALONE: {"engine": engine}, ONE: one, MANY: several})
        peak = Peak(system.process.pid)
        with peak:
            asyncio.run(watched(system, singles, size.window, max(1, MEMORY_SECONDS * plan.scale)))
    return {
        "size": size.name,
        "model": engines.model,
        "processes": processes,
        "window": size.window,
        "slab": size.slab,
        "rounds": rounds,
        "cpu_ms": mean_cpu(cpu),
        "memory": {"idle": idle, "peak": peak.highest},
    }


def say(what, flows) -> None:
    print(f"  {what}: {', '.join(f'{name} {flow.rate:,.1f}' for name, flow in flows.items())} texts/s", flush=True)


async def watched(system, requests, window, seconds):
    """Run a closed loop; return its flow, and the seconds of CPU time a text took, by part."""
    async with system.connect() as asker:
        before = {**system.cpu(), "client": time.process_time()}
        texts = Counting(requests)
        flow = await closed(asker.ask, texts, window=window, seconds=seconds)
        after = {**system.cpu(), "client": time.process_time()}
    return flow, {part: (after[part] - before[part]) / texts.count for part in after}


class Counting:
    """An iterator that counts the texts of the requests it gives out; all of them are answered in the end."""

    def __init__(self, requests) -> None:
        self._requests = requests
        self.count = 0

    def __next__(self):
        request = next(self._requests)
        self.count += 1 if isinstance(request, str) else len(request)
        return request


def mean_cpu(rounds) -> dict[str, dict[str, float]]:
    """Return the milliseconds of CPU time of a text by way and part, the mean over rounds."""
    return {
        way: {part: round(1000 * sum(r[way][part] for r in rounds) / len(rounds), 4) for part in rounds[0][way]}
        for way in rounds[0]
    }
