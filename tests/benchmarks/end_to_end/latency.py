"""Latency: one text at a time on an idle system, and at shares of what it can do, arrivals at random."""

import asyncio
import contextlib
import re
import statistics
import time

from benchmarks.end_to_end import systems
from benchmarks.end_to_end.engines import Engines
from benchmarks.end_to_end.load import closed, open_loop, summary
from benchmarks.end_to_end.plan import Plan
from hanner import Client
from hanner.cli.demo_texts import FIRST

LOADS = (10, 20, 30, 40, 50, 60, 70, 80, 90)
"""Percent of the capacity found just before."""
SECONDS = 10.0
IDLE_ROUNDS = 300
LAG = 0.2
"""Seconds after the last answer in which the worker writes its line about the batch."""
BATCH = re.compile(rb"batch \d+: (\d+) requests, (\d+) texts .* waited up to ([\d.]+) ms, took ([\d.]+) ms")


def measure(plan: Plan) -> dict:
    """Return what the default model does with a process per core."""
    size = plan.default()
    with contextlib.ExitStack() as stack:
        engines = stack.enter_context(Engines(size.model, 1, plan.texts))
        system = stack.enter_context(systems.hanner(size.model, plan.cores, plan.scratch))
        idle = one_at_a_time(engines, system, max(20, round(IDLE_ROUNDS * plan.scale)))
        return {"model": engines.model, "processes": plan.cores, "idle": idle} | asyncio.run(under_load(plan, system))


def one_at_a_time(engines, system, rounds) -> dict:
    """Take turns: a text in the engine, the same text through the queue, by the blocking client."""
    engine, queue = [], []
    with Client(system.connect().url) as ner:
        for number in range(rounds + 20):
            times = engines.one(FIRST), timed(lambda: ner.extract(FIRST))
            if number >= 20:  # caches, connections, first allocations
                engine.append(times[0])
                queue.append(times[1])
    added = statistics.median(queue) - statistics.median(engine)
    return {"text": len(FIRST), "engine": summary(engine), "queue": summary(queue), "added": round(added, 3)}


def timed(call) -> float:
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1000


async def under_load(plan, system) -> dict:
    size, texts = plan.default(), plan.singles()
    async with system.connect() as asker:
        log = BatchLog(system.log)
        flow = await closed(asker.ask, texts, window=size.window, seconds=size.seconds)
        full = await log.batches()
        rows = []
        for share in LOADS:
            rate = flow.rate * share / 100
            times = await open_loop(asker.ask, texts, rate=rate, seconds=max(2, SECONDS * plan.scale), seed=share)
            print(f"  {share} % load, {rate:,.0f} texts/s: {summary(times)}", flush=True)
            rows.append({"load": share, "rate": round(rate, 1)} | summary(times) | {"batches": await log.batches()})
    return {"capacity": round(flow.rate, 1), "full": full, "loads": rows}


class BatchLog:
    """Reads what the worker's log says of its batches since the last look."""

    def __init__(self, path) -> None:
        self._path = path
        self._read = path.stat().st_size

    async def batches(self) -> dict:
        """Return count, mean number of texts, and median milliseconds from a batch's start to its results stored."""
        await asyncio.sleep(LAG)
        with self._path.open("rb") as file:
            file.seek(self._read)
            new = file.read()
        self._read += len(new)
        found = [(int(m[2]), float(m[4])) for m in BATCH.finditer(new)]
        if not found:
            raise RuntimeError(f"the worker's log tells of no batch: {self._path}")
        texts = sum(each[0] for each in found)
        return {
            "count": len(found),
            "texts": round(texts / len(found), 2),
            "took_ms": round(statistics.median(took for _, took in found), 3),
            "took_ms_of_a_text": round(sum(count * took for count, took in found) / texts, 3),
        }
