"""Measure latency: one text at a time on an idle system, and at shares of its capacity with random arrivals."""

import asyncio
import contextlib
import re
import statistics
import time

from benchmarks.end_to_end import systems
from benchmarks.end_to_end.engine_processes import EngineProcesses
from benchmarks.end_to_end.load import closed_loop, open_loop, summary
from benchmarks.end_to_end.plan import Plan
from hanner import Client
from hanner.contract import EXAMPLE_TEXT

LOADS = (10, 20, 30, 40, 50, 60, 70, 80, 90)
"""Percent of the capacity that was measured just before."""
SECONDS = 10.0
IDLE_ROUNDS = 300
LOG_DELAY = 0.2
"""Seconds after the last result until the worker has logged its batch."""
BATCH = re.compile(rb"batch \d+: (\d+) requests, (\d+) texts .* waited up to ([\d.]+) ms, took ([\d.]+) ms")


def measure(plan: Plan) -> dict:
    """Return the latencies of the default model with one process per core."""
    size = plan.default()
    with contextlib.ExitStack() as stack:
        engines = stack.enter_context(EngineProcesses(size.model, 1, plan.texts))
        system = stack.enter_context(systems.hanner(size.model, plan.cores, plan.scratch))
        idle = measure_idle(engines, system, max(20, round(IDLE_ROUNDS * plan.scale)))
        return {"model": engines.model, "processes": plan.cores, "idle": idle} | asyncio.run(
            measure_loads(plan, system)
        )


def measure_idle(engines, system, rounds) -> dict:
    """Alternate between the engine and the queue with the same text and the blocking client."""
    engine, queue = [], []
    with Client(system.connect().url) as ner:
        for number in range(rounds + 20):
            times = engines.run_one(EXAMPLE_TEXT), timed(lambda: ner.extract(EXAMPLE_TEXT))
            if number >= 20:  # warm-up
                engine.append(times[0])
                queue.append(times[1])
    added = statistics.median(queue) - statistics.median(engine)
    return {"text": len(EXAMPLE_TEXT), "engine": summary(engine), "queue": summary(queue), "added": round(added, 3)}


def timed(call) -> float:
    started = time.perf_counter()
    call()
    return (time.perf_counter() - started) * 1000


async def measure_loads(plan, system) -> dict:
    size, texts = plan.default(), plan.singles()
    async with system.connect() as client:
        log = BatchLog(system.log)
        throughput = await closed_loop(client.send, texts, window=size.window, seconds=size.seconds)
        full = await log.batches()
        rows = []
        for share in LOADS:
            rate = throughput.rate * share / 100
            times = await open_loop(client.send, texts, rate=rate, seconds=max(2, SECONDS * plan.scale), seed=share)
            print(f"  {share} % load, {rate:,.0f} texts/s: {summary(times)}", flush=True)
            rows.append({"load": share, "rate": round(rate, 1)} | summary(times) | {"batches": await log.batches()})
    return {"capacity": round(throughput.rate, 1), "full": full, "loads": rows}


class BatchLog:
    """Reads the batches that the worker has logged since the last call."""

    def __init__(self, path) -> None:
        self._path = path
        self._read = path.stat().st_size

    async def batches(self) -> dict:
        """Return count, mean number of texts, and median milliseconds from start to stored results of the batches."""
        await asyncio.sleep(LOG_DELAY)
        with self._path.open("rb") as file:
            file.seek(self._read)
            new = file.read()
        self._read += len(new)
        batches = [(int(m[2]), float(m[4])) for m in BATCH.finditer(new)]
        if not batches:
            raise RuntimeError(f"the worker's log has no batches: {self._path}")
        texts = sum(each[0] for each in batches)
        return {
            "count": len(batches),
            "texts": round(texts / len(batches), 2),
            "took_ms": round(statistics.median(took for _, took in batches), 3),
            "took_ms_of_a_text": round(sum(count * took for count, took in batches) / texts, 3),
        }
