"""What the client itself costs: submitting, a round trip, a stream. A stub answers, so no model is in the figures.

    PYTHONPATH=tests python tests/benchmarks/client.py [--texts 5000]

Prints texts per second of one process, and the processor time that its threads took for each. The second figure is the
one to compare on a machine that does other things as well: texts per second are then those of the whole machine.
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
AT_ONCE = 256


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=5000)
    count = parser.parse_args().texts
    with EmbeddedServer() as server:
        with Client(server.url, max_queue=0) as ner:
            ner.submit(TEXT)
            measure("submit, one thread", count, lambda: [ner.submit(TEXT) for _ in range(count)])
            measure(f"submit, {THREADS} threads", count, lambda: in_threads(ner, count))
            measure(
                "submit_many, 64 in each", count, lambda: [ner.submit_many([TEXT] * 64) for _ in range(count // 64)]
            )
        asyncio.run(enqueue(server.url, count))
        server_is_empty(server.url)
        with stub(server.url), Client(server.url, timeout=300) as ner:
            ner.extract(TEXT)
            times = []
            measure("extract, one at a time", count // 5, lambda: times.extend(round_trips(ner, count // 5)))
            print(f"{'':26}{statistics.median(times):>9.2f} ms median, ", end="")
            print(f"{statistics.quantiles(times, n=100)[94]:.2f} ms p95")
            measure("stream", count * 4, lambda: [None for _ in ner.stream(TEXT for _ in range(count * 4))])
            asyncio.run(answered(server.url, count))


def measure(name: str, count: int, call: Callable[[], object]) -> None:
    wall, processor = time.perf_counter(), time.process_time()
    call()
    report(name, count, time.perf_counter() - wall, time.process_time() - processor)


def report(name: str, count: int, wall: float, processor: float) -> None:
    print(f"{name:<26}{count / wall:>9,.0f} texts/s {processor / count * 1e6:>8.1f} µs each", flush=True)


def in_threads(ner: Client, count: int) -> None:
    with ThreadPoolExecutor(THREADS) as threads:
        for _ in threads.map(lambda _: [ner.submit(TEXT) for _ in range(count // THREADS)], range(THREADS)):
            pass


def round_trips(ner: Client, count: int) -> list[float]:
    times = []
    for _ in range(count):
        began = time.perf_counter()
        ner.extract(TEXT)
        times.append((time.perf_counter() - began) * 1000)
    return times


async def enqueue(url: str, count: int) -> None:
    async with AsyncClient(url, max_queue=0) as ner:
        await ner.submit(TEXT)
        wall, processor = time.perf_counter(), time.process_time()
        for _ in range(count // AT_ONCE):
            await asyncio.gather(*(ner.submit(TEXT) for _ in range(AT_ONCE)))
        report(f"async submit, {AT_ONCE} at once", count, time.perf_counter() - wall, time.process_time() - processor)


async def answered(url: str, count: int) -> None:
    async with AsyncClient(url, timeout=300) as ner:
        await ner.extract(TEXT)
        wall, processor = time.perf_counter(), time.process_time()
        for _ in range(count // AT_ONCE):
            await asyncio.gather(*(ner.extract(TEXT) for _ in range(AT_ONCE)))
        report(f"async extract, {AT_ONCE} at once", count, time.perf_counter() - wall, time.process_time() - processor)
        wall, processor = time.perf_counter(), time.process_time()
        async for _ in ner.stream(TEXT for _ in range(count * 4)):
            pass
        report("async stream", count * 4, time.perf_counter() - wall, time.process_time() - processor)


def server_is_empty(url: str) -> None:
    with Client(url) as ner:
        ner._sender.connection.redis.flushall()


@contextmanager
def stub(url: str):
    """Answer in another process."""
    context = multiprocessing.get_context("spawn")
    ended = context.Event()
    process = context.Process(target=answer, args=(url, ended))
    process.start()
    try:
        yield
    finally:
        ended.set()
        process.join()


def answer(url: str, ended) -> None:
    with StubWorker(url):
        ended.wait()


if __name__ == "__main__":
    main()
