"""Measure the cost of HTTP: the latency that the gateway adds to one text, and its throughput with 64 clients.

    python tests/benchmarks/gateway.py [--rounds 300] [--clients 64] [--seconds 60]

Redis, a worker with the bundled model and the gateway run as with `hanner up`. First, one text at a time: each round
sends it with AsyncClient in this process and then by HTTP; the difference of the medians is the latency that the
gateway adds. Then --clients clients, each with its own connection, send texts continuously. Exits with 1 if a request
fails or p99 is more than five times p50.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import statistics
import sys
import time
from urllib.parse import urlsplit

from hanner import AsyncClient
from hanner.cli import demo_texts
from hanner.cli.gateway_process import ListenAddress
from hanner.cli.local_stack import run_stack
from hanner.contract import EXAMPLE_TEXT

HEAD = "POST /api/v1/ner HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n"


class Connection:
    """A minimal HTTP client: one keep-alive connection, responses with a Content-Length."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, url: str) -> "Connection":
        address = urlsplit(url)
        return cls(*await asyncio.open_connection(address.hostname, address.port))

    async def send(self, text: str) -> list[dict[str, object]]:
        body = json.dumps({"text": text}).encode()
        self._writer.write(HEAD.format(len(body)).encode() + body)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        answer = json.loads(await self._reader.readexactly(length))
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(answer)
        return answer["entities"]

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    with run_stack(listen=ListenAddress()) as stack:
        asyncio.run(measure_latency(stack.settings.broker_url, stack.gateway.url, options.rounds))
        sys.exit(asyncio.run(measure_throughput(stack.gateway.url, options.clients, options.seconds)))


async def measure_latency(broker: str, url: str, rounds: int) -> None:
    text = EXAMPLE_TEXT
    connection = await Connection.open(url)
    async with AsyncClient(broker) as ner:
        for _ in range(20):  # warm-up
            found = await ner.extract(text)
            assert found == await connection.send(text)
        direct, http = [], []
        for _ in range(rounds):
            direct.append(await timed(ner.extract(text)))
            http.append(await timed(connection.send(text)))
    await connection.close()
    print(f"one text at a time, {rounds} rounds       p50      p95")
    for name, times in (("AsyncClient", direct), ("POST /api/v1/ner", http)):
        print(f"  {name:<28} {statistics.median(times):>7.2f} ms {percentile(times, 95):>5.2f} ms")
    print(f"  {'added by the gateway':<28} {statistics.median(http) - statistics.median(direct):>7.2f} ms")


async def measure_throughput(url: str, clients: int, seconds: float) -> int:
    texts = demo_texts.mixture(1000)
    times: list[float] = []
    failures: list[str] = []
    until = time.perf_counter() + seconds

    async def client(number: int) -> None:
        connection = await Connection.open(url)
        for text in itertools.islice(itertools.cycle(texts), number, None):
            if time.perf_counter() >= until:
                break
            try:
                times.append(await timed(connection.send(text)))
            except (OSError, RuntimeError, asyncio.IncompleteReadError) as error:
                failures.append(repr(error))
                break
        await connection.close()

    await asyncio.gather(*(client(number * len(texts) // clients) for number in range(clients)))
    p50, p99 = percentile(times, 50), percentile(times, 99)
    print(f"{clients} concurrent clients, {seconds:g} s")
    print(f"  {len(times):,} requests, {len(times) / seconds:,.0f} per second, {len(failures)} failed {failures[:1]}")
    print(f"  p50 {p50:.1f} ms, p99 {p99:.1f} ms: {p99 / p50:.1f} times p50; longest {max(times):.1f} ms")
    return int(bool(failures) or p99 > 5 * p50)


async def timed(call) -> float:
    started = time.perf_counter()
    await call
    return (time.perf_counter() - started) * 1000


def percentile(times: list[float], share: int) -> float:
    return statistics.quantiles(times, n=100)[share - 1]


if __name__ == "__main__":
    main()
