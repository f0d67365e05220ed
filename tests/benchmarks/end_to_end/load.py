"""Load generators: a closed loop with a fixed number of requests in flight, and an open loop with random arrivals.

Both send with an async function that takes a request and returns when its result is complete, or raises.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

Send = Callable[[Any], Awaitable[object]]
RESULTS_TIMEOUT = 30.0
"""Seconds to wait for results after the last arrival."""
MAX_SECONDS = 120.0
"""Maximum duration of a measurement with fewer than MIN_RESULTS."""
MIN_RESULTS = 10
"""Minimum number of results for a rate."""


@dataclass(frozen=True)
class Throughput:
    """Texts that were processed in a time.

    Attributes:
        texts: Number of texts.
        characters: Code points in them.
        seconds: Duration.
    """

    texts: int
    characters: int
    seconds: float

    @property
    def rate(self) -> float:
        """Texts per second."""
        return self.texts / self.seconds


class TooFewResultsError(RuntimeError):
    """There are too few results for a rate."""


def texts_of(request) -> Sequence[str]:
    return [request] if isinstance(request, str) else request


async def closed_loop(
    send: Send, requests: Iterator[Any], *, window: int, seconds: float, warm_up: float = 0.5
) -> Throughput:
    """Keep `window` requests in flight and return the throughput in the `seconds` after the warm-up.

    Results arrive in bursts, one per batch, so the duration does not depend on the time of a result: it is `seconds`,
    or a multiple of it until there are MIN_RESULTS.

    Raises:
        TooFewResultsError: there were fewer than MIN_RESULTS within MAX_SECONDS.
        Exception: the error of the first request that fails.
    """
    measurement = Measurement(time.perf_counter() + warm_up, seconds)

    async def client() -> None:
        while not measurement.is_over(time.perf_counter()):
            request = next(requests)
            await send(request)
            measurement.count(time.perf_counter(), texts_of(request))

    await asyncio.gather(*(client() for _ in range(window)))
    return measurement.throughput()


class Measurement:
    """Counts the results within a time interval."""

    def __init__(self, start: float, seconds: float) -> None:
        self._start, self._seconds = start, seconds
        self._end = start + seconds
        self._results = self._texts = self._characters = 0

    def is_over(self, now: float) -> bool:
        """Return whether the interval has ended; it is extended if there are too few results."""
        while now >= self._end and self._results < MIN_RESULTS and self._end < self._start + MAX_SECONDS:
            self._end += self._seconds
        return now >= self._end

    def count(self, now: float, texts: Sequence[str]) -> None:
        """Count the texts of a result if it arrived within the interval."""
        if now >= self._start and not self.is_over(now):
            self._results += 1
            self._texts += len(texts)
            self._characters += sum(map(len, texts))

    def throughput(self) -> Throughput:
        """Return the throughput of the counted results."""
        if self._results < MIN_RESULTS:
            raise TooFewResultsError(f"{self._results} results are too few for a rate; measure for longer")
        return Throughput(self._texts, self._characters, self._end - self._start)


async def open_loop(send: Send, requests: Iterator[Any], *, rate: float, seconds: float, seed: int = 1) -> list[float]:
    """Send requests at random times, `rate` per second on average, whether or not earlier ones are complete.

    Returns:
        Milliseconds of each request from its due time, so that neither waiting nor a late client is hidden; infinity
        if it was not completed.
    """
    choose = random.Random(seed)
    times: list[float] = []
    tasks: list[asyncio.Task[None]] = []

    async def send_one(due: float, request) -> None:
        await send(request)
        times.append((time.perf_counter() - due) * 1000)

    start = due = time.perf_counter()
    while (due := due + choose.expovariate(rate)) < start + seconds:
        if (early := due - time.perf_counter()) > 0:
            await asyncio.sleep(early)
        tasks.append(asyncio.create_task(send_one(due, next(requests))))
    if tasks:
        _, pending = await asyncio.wait(tasks, timeout=RESULTS_TIMEOUT)
        for task in pending:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return times + [float("inf")] * (len(tasks) - len(times))


async def sequential(send: Send, request, *, count: int) -> list[float]:
    """Return the milliseconds of `count` requests that are sent one after the other."""
    times = []
    for _ in range(count):
        start = time.perf_counter()
        await send(request)
        times.append((time.perf_counter() - start) * 1000)
    return times


def percentile(times: Sequence[float], share: float) -> float:
    """Return the percentile `share`, from 0 to 100, by nearest rank."""
    ordered = sorted(times)
    return ordered[max(0, min(len(ordered) - 1, -(-int(len(ordered) * share) // 100) - 1))]


def summary(times: Sequence[float]) -> dict[str, float]:
    """Return count and percentiles for JSON. Infinite times are counted as unanswered; a percentile of them is None."""
    unanswered = sum(t == float("inf") for t in times)
    marks = {f"p{share}": percentile(times, share) for share in (50, 95, 99)}
    return {"count": len(times), "unanswered": unanswered} | {
        name: None if t == float("inf") else round(t, 3) for name, t in marks.items()
    }
