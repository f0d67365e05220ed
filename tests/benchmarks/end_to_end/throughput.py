"""Measure texts per second through the queue and of the engine alone in the same rounds, CPU time, and memory."""

import asyncio
import contextlib
import time

from benchmarks.end_to_end import systems
from benchmarks.end_to_end.engine_processes import EngineProcesses
from benchmarks.end_to_end.load import closed_loop
from benchmarks.end_to_end.plan import Plan, Size
from benchmarks.memory import PeakMemory, read_pss

ALONE, ONE, MANY = "engine alone", "one text per task", "extract_many"
MEMORY_SECONDS = 3.0


def measure(plan: Plan) -> list[dict]:
    """Return a row per model and number of processes."""
    counts = sorted({1, plan.cores})
    return [measure_one(plan, size, processes) for size in plan.sizes() for processes in counts]


def measure_one(plan: Plan, size: Size, processes: int) -> dict:
    rounds, cpu = [], []
    with contextlib.ExitStack() as stack:
        engines = stack.enter_context(EngineProcesses(size.model, processes, plan.texts))
        system = stack.enter_context(systems.hanner(size.model, processes, plan.scratch))
        idle = read_pss(system.process.pid)
        singles, many = plan.singles(), plan.many(size.chunk)
        engines.run(0.5, size.chunk)
        for _ in range(plan.rounds if processes == plan.cores else max(1, plan.rounds - 1)):
            throughputs = {}
            throughputs[ALONE], engine = engines.run(size.seconds, size.chunk)
            throughputs[ONE], one = asyncio.run(run_closed_loop(system, singles, size.window, size.seconds))
            throughputs[MANY], several = asyncio.run(run_closed_loop(system, many, 3 * processes, size.seconds))
            print_rates(f"{size.name}, {processes} processes", throughputs)
            rounds.append(
                {name: [round(t.rate, 2), round(t.characters / t.seconds, 1)] for name, t in throughputs.items()}
            )
            cpu.append({ALONE: {"engine": engine}, ONE: one, MANY: several})
        peak = PeakMemory(system.process.pid)
        with peak:
            asyncio.run(run_closed_loop(system, singles, size.window, max(1, MEMORY_SECONDS * plan.scale)))
    return {
        "size": size.name,
        "model": engines.model,
        "processes": processes,
        "window": size.window,
        "chunk": size.chunk,
        "rounds": rounds,
        "cpu_ms": mean_cpu(cpu),
        "memory": {"idle": idle, "peak": peak.highest},
    }


def print_rates(name, throughputs) -> None:
    print(f"  {name}: {', '.join(f'{way} {each.rate:,.1f}' for way, each in throughputs.items())} texts/s", flush=True)


async def run_closed_loop(system, requests, window, seconds):
    """Run a closed loop; return its throughput, and the CPU seconds per text by part."""
    async with system.connect() as client:
        before = {**system.cpu(), "client": time.process_time()}
        texts = CountingIterator(requests)
        throughput = await closed_loop(client.send, texts, window=window, seconds=seconds)
        after = {**system.cpu(), "client": time.process_time()}
    return throughput, {part: (after[part] - before[part]) / texts.count for part in after}


class CountingIterator:
    """An iterator that counts the texts of the requests that it returns."""

    def __init__(self, requests) -> None:
        self._requests = requests
        self.count = 0

    def __next__(self):
        request = next(self._requests)
        self.count += 1 if isinstance(request, str) else len(request)
        return request


def mean_cpu(rounds) -> dict[str, dict[str, float]]:
    """Return the milliseconds of CPU time per text by way and part, the mean over rounds."""
    return {
        way: {part: round(1000 * sum(r[way][part] for r in rounds) / len(rounds), 4) for part in rounds[0][way]}
        for way in rounds[0]
    }
