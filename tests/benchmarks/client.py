"""What the client itself costs: submitting, a round trip, a stream. A stub answers, so no model is in the figures.

    PYTHONPATH=tests python tests/benchmarks/client.py [--texts 5000]

Prints requests per second of one process and one thread, the round trip in milliseconds, and texts per second.
"""

import argparse
import asyncio
import multiprocessing
import statistics
import time

from nerq import AsyncClient, Client
from nerq.embedded import EmbeddedServer
from support.stub_worker import StubWorker

TEXT = "马云在杭州阿里巴巴总部发表演讲"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=5000)
    count = parser.parse_args().texts
    with EmbeddedServer() as server, Client(server.url) as ner:
        ner.submit(TEXT)
        took = timed(lambda: [ner.submit(TEXT) for _ in range(count)])
        print(f"submit, nobody waits        {count / took:>9,.0f} requests/s")
        ended = multiprocessing.get_context("spawn").Event()
        worker = multiprocessing.get_context("spawn").Process(target=answer, args=(server.url, ended))
        worker.start()
        with Client(server.url, timeout=120) as other:
            other.extract(TEXT)  # what was submitted above has been answered by now
            times = [timed(lambda: other.extract(TEXT)) * 1000 for _ in range(count // 5)]
            print(f"extract, round trip         {statistics.median(times):>9.2f} ms median, ", end="")
            print(f"{statistics.quantiles(times, n=100)[94]:.2f} ms p95")
            took = timed(lambda: [None for _ in other.stream(TEXT for _ in range(count * 4))])
            print(f"stream                      {count * 4 / took:>9,.0f} texts/s")
        print(f"AsyncClient, 100 at a time  {count / asyncio.run(at_once(server.url, count)):>9,.0f} requests/s")
        ended.set()
        worker.join()


def answer(url: str, ended) -> None:
    with StubWorker(url):
        ended.wait()


async def at_once(url: str, count: int) -> float:
    async with AsyncClient(url, timeout=60) as ner:
        began = time.perf_counter()
        for _ in range(count // 100):
            await asyncio.gather(*(ner.extract(TEXT) for _ in range(100)))
        return time.perf_counter() - began


def timed(call) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
