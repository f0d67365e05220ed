"""Measure interactive texts beside a bulk stream that occupies all processes.

A process streams texts with bulk priority, as `hanner extract -f` does. After some seconds, another one also sends
single interactive texts at random times.
"""

import asyncio
import itertools
import multiprocessing
import time

from benchmarks.end_to_end import systems
from benchmarks.end_to_end.load import open_loop, summary
from benchmarks.end_to_end.plan import Plan
from hanner import AsyncClient, Client
from hanner_inference.package import open_package

WARM_UP = 2.0
ALONE_SECONDS, BESIDE_SECONDS = 3.0, 12.0
RATE = 10.0
"""Interactive texts per second."""
START_TIMEOUT = 60.0


def measure(plan: Plan) -> list[dict]:
    """Return a row per model: bulk texts per second alone and beside interactive texts, and the latency of these."""
    rows = []
    for size in plan.sizes():
        with systems.hanner(size.model, plan.cores, plan.scratch) as system:
            alone, beside, times = measure_halves(plan, system.connect().url)
        result = {"rate": RATE, "alone": round(alone, 1), "beside": round(beside, 1)} | summary(times)
        print(f"  {size.name}: {result}", flush=True)
        rows.append({"size": size.name, "model": open_package(size.model).id, "processes": plan.cores} | result)
    return rows


def measure_halves(plan: Plan, url: str) -> tuple[float, float, list[float]]:
    """Return the bulk texts per second alone and beside interactive texts, and the milliseconds of these."""
    context = multiprocessing.get_context("spawn")
    count = context.Value("q", 0)
    stream = context.Process(target=run_stream, args=(url, plan.texts, count), daemon=True)
    stream.start()
    try:
        wait_until_busy(stream, count)
        started, before = time.perf_counter(), count.value
        time.sleep(max(1, ALONE_SECONDS * plan.scale))
        middle, between = time.perf_counter(), count.value
        times = asyncio.run(send_interactive(plan, url, max(2, BESIDE_SECONDS * plan.scale)))
        ended, after = time.perf_counter(), count.value
    finally:
        stream.kill()
        stream.join()
    return (between - before) / (middle - started), (after - between) / (ended - middle), times


def wait_until_busy(stream, count) -> None:
    """Return WARM_UP seconds after the first result of the stream."""
    deadline = time.monotonic() + START_TIMEOUT
    while not count.value:
        if not stream.is_alive() or time.monotonic() > deadline:
            raise RuntimeError("the bulk stream returns no results")
        time.sleep(0.05)
    time.sleep(WARM_UP)


def run_stream(url: str, texts: list[str], count) -> None:
    """Stream the texts again and again with bulk priority; `count` is the number of results."""
    with Client(url, timeout=120) as ner:
        for document in ner.stream(itertools.cycle(texts)):
            if document.error is not None:
                raise RuntimeError(document.error.message)
            count.value += 1


async def send_interactive(plan: Plan, url: str, seconds: float) -> list[float]:
    async with AsyncClient(url, timeout=120) as ner:
        return await open_loop(ner.extract, plan.singles(), rate=RATE, seconds=seconds)
