"""Measure latency: one text at a time on an idle system, and at shares of its capacity with random arrivals."""

import asyncio
import contextlib
import statistics
import time

from benchmarks.end_to_end import systems
from benchmarks.end_to_end.engine_processes import EngineProcesses
from benchmarks.end_to_end.load import closed_loop, open_loop, summary
from benchmarks.end_to_end.plan import Plan, Size
from hanner import Client, Settings
from hanner.cli.batch_events import BatchEventListener
from hanner.contract import EXAMPLE_TEXT

LOADS = {10: 1, 30: 1, 50: 1, 70: 1, 80: 2, 90: 1}
"""Percent of the capacity that was measured just before: duration in SECONDS. 80 % has a requirement on its p99."""
SECONDS = 6.0
IDLE_ROUNDS = 200
EVENT_DELAY = 0.5
"""Seconds after the last result until the event of its batch has arrived; the worker sends events every 50 ms."""


def measure(plan: Plan) -> list[dict]:
    """Return a row per model, with one process per core."""
    return [measure_one(plan, size) for size in plan.sizes()]


def measure_one(plan: Plan, size: Size) -> dict:
    with contextlib.ExitStack() as stack:
        engines = stack.enter_context(EngineProcesses(size.model, 1, plan.texts))
        system = stack.enter_context(systems.hanner(size.model, plan.cores, plan.scratch))
        idle = measure_idle(engines, system, max(20, round(IDLE_ROUNDS * plan.scale)))
        row = {"size": size.name, "model": engines.model, "processes": plan.cores, "idle": idle}
        return row | asyncio.run(measure_loads(plan, size, system))


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


async def measure_loads(plan, size, system) -> dict:
    texts = plan.singles()
    settings = Settings(broker_url=system.connect().url)
    with BatchEventListener(settings) as events:
        events.wait_until_subscribed(30)
        async with system.connect() as client:
            throughput = await closed_loop(client.send, texts, window=size.window, seconds=size.seconds)
            full = await batches(events)
            rows = []
            for share, length in LOADS.items():
                rate, seconds = throughput.rate * share / 100, max(2, length * SECONDS * plan.scale)
                times = await open_loop(client.send, texts, rate=rate, seconds=seconds, seed=share)
                print(f"  {size.name}, {share} % load, {rate:,.0f} texts/s: {summary(times)}", flush=True)
                rows.append(
                    {"load": share, "rate": round(rate, 1)} | summary(times) | {"batches": await batches(events)}
                )
    return {"capacity": round(throughput.rate, 1), "full": full, "loads": rows}


async def batches(events: BatchEventListener) -> dict:
    """Return count, mean number of texts, and median milliseconds of the batches since the last call."""
    await asyncio.sleep(EVENT_DELAY)
    taken = events.take(0, 0)
    if not taken:
        raise RuntimeError("the worker has sent no events of batches")
    texts = sum(batch.texts for batch in taken)
    return {
        "count": len(taken),
        "texts": round(texts / len(taken), 2),
        "took_ms": round(statistics.median(batch.total_ms for batch in taken), 3),
        "took_ms_of_a_text": round(sum(batch.texts * batch.total_ms for batch in taken) / texts, 3),
    }
