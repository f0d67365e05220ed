"""Measure interactive texts beside a bulk stream that occupies all processes.

    PYTHONPATH=tests python tests/benchmarks/beside_bulk.py [--size default base] [--texts FILE] [--seconds 15]
        [--rate 10] [--limit default=100 base=400]

A process streams texts with bulk priority, as `hanner extract -f` does. In the second half, another one sends
single interactive texts at random times, --rate per second on average. Prints the bulk texts per second in both halves
and the latency of the interactive texts. Exits with 1 if a p99 is above its --limit, in ms.
"""

import argparse
import asyncio
import itertools
import multiprocessing
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.end_to_end import systems
from benchmarks.end_to_end.load import open_loop, summary
from benchmarks.end_to_end.plan import Plan, cores, read_texts
from hanner import AsyncClient, Client

WARM_UP = 2.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", nargs="+", choices=["default", "base"], default=["default", "base"])
    parser.add_argument("--texts", type=Path)
    parser.add_argument("--seconds", type=float, default=15.0, help="of each half")
    parser.add_argument("--rate", type=float, default=10.0)
    parser.add_argument("--limit", nargs="+", default=["default=100", "base=400"], metavar="SIZE=MS")
    options = parser.parse_args()
    texts, source = read_texts(options.texts)
    limits = {name: float(ms) for name, _, ms in (limit.partition("=") for limit in options.limit)}
    slow = False
    with tempfile.TemporaryDirectory(prefix="hanner-bench-") as scratch:
        plan = Plan(texts, source, Path(scratch), cores(), 1, 1.0)
        for name in options.size:
            model = getattr(plan, name)().model
            with systems.hanner(model, plan.cores, plan.scratch) as system:
                url = system.connect().url
                alone, beside, times = measure(plan, url, options.seconds, options.rate)
            result = summary(times)
            print(
                f"{name}: {alone:,.0f} bulk texts/s alone, {beside:,.0f} beside {options.rate:g} interactive texts/s;"
            )
            print(f"    these take, in ms: {result}", flush=True)
            slow |= result["p99"] is None or result["p99"] > limits.get(name, float("inf"))
    sys.exit(slow)


def measure(plan: Plan, url: str, seconds: float, rate: float) -> tuple[float, float, list[float]]:
    """Return the bulk texts per second alone and beside interactive texts, and the latencies of these."""
    context = multiprocessing.get_context("spawn")
    count = context.Value("q", 0)
    stream = context.Process(target=run_stream, args=(url, plan.texts, count), daemon=True)
    stream.start()
    try:
        while not count.value:
            if not stream.is_alive():
                raise RuntimeError("the bulk stream has ended")
            time.sleep(0.05)
        time.sleep(WARM_UP)
        started, before = time.perf_counter(), count.value
        time.sleep(seconds)
        middle, between = time.perf_counter(), count.value
        times = asyncio.run(send_interactive(plan, url, seconds, rate))
        ended, after = time.perf_counter(), count.value
    finally:
        stream.kill()
        stream.join()
    return (between - before) / (middle - started), (after - between) / (ended - middle), times


def run_stream(url: str, texts: list[str], count) -> None:
    """Stream the texts again and again with bulk priority; `count` is the number of results."""
    with Client(url, timeout=120) as ner:
        for document in ner.stream(itertools.cycle(texts)):
            if document.error is not None:
                raise RuntimeError(document.error.message)
            count.value += 1


async def send_interactive(plan: Plan, url: str, seconds: float, rate: float) -> list[float]:
    async with AsyncClient(url, timeout=120) as ner:
        return await open_loop(ner.extract, plan.singles(), rate=rate, seconds=seconds)


if __name__ == "__main__":
    main()
