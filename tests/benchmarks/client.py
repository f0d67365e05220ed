"""Measure the cost of the client: submitting, round trips, streams. A stub worker answers, so no model is included.

    PYTHONPATH=tests python tests/benchmarks/client.py [--texts 5000]

Prints texts per second of one process, and the CPU time per text. On a machine with other load, compare the CPU time.
"""

import argparse
import asyncio
import multiprocessing
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from hanner import AsyncClient, Client
from hanner.cli.local_redis import EmbeddedServer
from support.stub_worker import StubWorker

TEXT = "马云在杭州阿里巴巴总部发表演讲"
THREADS = 16
CONCURRENT = 256


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=5000)
    count = parser.parse_args().texts
    with EmbeddedServer() as server:
        with Client(server.url, max_queue=0) as ner:
            ner.submit(TEXT)
            measure("submit, one thread", count, lambda: [ner.submit(TEXT) for _ in range(count)])
            measure(f"submit, {THREADS} threads", count, lambda: submit_in_threads(ner, count))
            measure(
                "submit_many, 64 in each", count, lambda: [ner.submit_many([TEXT] * 64) for _ in range(count // 64)]
            )
        asyncio.run(measure_async_submit(server.url, count))
        empty_server(server.url)
        with stub_worker(server.url), Client(server.url, timeout=300) as ner:
            ner.extract(TEXT)
            times = []
            measure("extract, one at a time", count // 5, lambda: times.extend(round_trips(ner, count // 5)))
            print(f"{'':26}{statistics.median(times):>9.2f} ms median, ", end="")
            print(f"{statistics.quantiles(times, n=100)[94]:.2f} ms p95")
            measure("stream", count * 4, lambda: [None for _ in ner.stream(TEXT for _ in range(count * 4))])
            asyncio.run(measure_async_extract(server.url, count))


def measure(name: str, count: int, call: Callable[[], object]) -> None:
    started, cpu = time.perf_counter(), time.process_time()
    call()
    report(name, count, time.perf_counter() - started, time.process_time() - cpu)


def report(name: str, count: int, seconds: float, cpu: float) -> None:
    print(f"{name:<26}{count / seconds:>9,.0f} texts/s {cpu / count * 1e6:>8.1f} µs each", flush=True)


def submit_in_threads(ner: Client, count: int) -> None:
    with ThreadPoolExecutor(THREADS) as threads:
        for _ in threads.map(lambda _: [ner.submit(TEXT) for _ in range(count // THREADS)], range(THREADS)):
            pass


def round_trips(ner: Client, count: int) -> list[float]:
    times = []
    for _ in range(count):
        started = time.perf_counter()
        ner.extract(TEXT)
        times.append((time.perf_counter() - started) * 1000)
    return times


async def measure_async_submit(url: str, count: int) -> None:
    async with AsyncClient(url, max_queue=0) as ner:
        await ner.submit(TEXT)
        started, cpu = time.perf_counter(), time.process_time()
        for _ in range(count // CONCURRENT):
            await asyncio.gather(*(ner.submit(TEXT) for _ in range(CONCURRENT)))
        report(
            f"async submit, {CONCURRENT} concurrent", count, time.perf_counter() - started, time.process_time() - cpu
        )


async def measure_async_extract(url: str, count: int) -> None:
    async with AsyncClient(url, timeout=300) as ner:
        await ner.extract(TEXT)
        started, cpu = time.perf_counter(), time.process_time()
        for _ in range(count // CONCURRENT):
            await asyncio.gather(*(ner.extract(TEXT) for _ in range(CONCURRENT)))
        report(
            f"async extract, {CONCURRENT} concurrent", count, time.perf_counter() - started, time.process_time() - cpu
        )
        started, cpu = time.perf_counter(), time.process_time()
        async for _ in ner.stream(TEXT for _ in range(count * 4)):
            pass
        report("async stream", count * 4, time.perf_counter() - started, time.process_time() - cpu)


def empty_server(url: str) -> None:
    with Client(url) as ner:
        ner._sender.connection.redis.flushall()


@contextmanager
def stub_worker(url: str):
    """Run a stub worker in another process."""
    context = multiprocessing.get_context("spawn")
    stop_event = context.Event()
    process = context.Process(target=run_stub, args=(url, stop_event))
    process.start()
    try:
        yield
    finally:
        stop_event.set()
        process.join()


def run_stub(url: str, stop_event) -> None:
    with StubWorker(url):
        stop_event.wait()


if __name__ == "__main__":
    main()
