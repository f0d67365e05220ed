"""Drivers: clients that keep so many requests under way, and clients that come when they come. All times by one clock.

Both ask by an async function that takes a request and returns when its answer is complete, or raises.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

Ask = Callable[[Any], Awaitable[object]]
PATIENCE = 30.0
"""Seconds after the last arrival for which answers are waited for."""
LONGEST = 120.0
"""Seconds for which LEAST answers are waited for."""
LEAST = 10
"""Answers from which a rate is taken."""


@dataclass(frozen=True)
class Flow:
    """What was answered in a time.

    Attributes:
        texts: Texts answered.
        characters: Code points in them.
        seconds: The time.
    """

    texts: int
    characters: int
    seconds: float

    @property
    def rate(self) -> float:
        """Texts per second."""
        return self.texts / self.seconds


class TooFewError(RuntimeError):
    """Too few answers to say anything."""


def texts_of(request) -> Sequence[str]:
    return [request] if isinstance(request, str) else request


async def closed(ask: Ask, requests: Iterator[Any], *, window: int, seconds: float, warm_up: float = 0.5) -> Flow:
    """Keep `window` requests under way and count what is answered in so many seconds after the warm-up.

    Answers come in bursts, a batch each, so the time does not hang on when one comes: it is as long as was said, or a
    multiple of that until LEAST answers are there.

    Raises:
        TooFewError: LEAST answers did not come in LONGEST seconds.
        Exception: what the first request that fails raised.
    """
    span = Span(time.perf_counter() + warm_up, seconds)

    async def client() -> None:
        while not span.over(time.perf_counter()):
            request = next(requests)
            await ask(request)
            span.note(time.perf_counter(), texts_of(request))

    await asyncio.gather(*(client() for _ in range(window)))
    return span.flow()


class Span:
    """The time in which answers count."""

    def __init__(self, began: float, seconds: float) -> None:
        self._began, self._seconds = began, seconds
        self._end = began + seconds
        self._answers = self._texts = self._characters = 0

    def over(self, now: float) -> bool:
        """Say whether it has ended; it is made longer if too few answers have come."""
        while now >= self._end and self._answers < LEAST and self._end < self._began + LONGEST:
            self._end += self._seconds
        return now >= self._end

    def note(self, now: float, texts: Sequence[str]) -> None:
        """Count an answer if it came in time."""
        if now >= self._began and not self.over(now):
            self._answers += 1
            self._texts += len(texts)
            self._characters += sum(map(len, texts))

    def flow(self) -> Flow:
        """Return what was counted."""
        if self._answers < LEAST:
            raise TooFewError(f"{self._answers} answers say nothing; measure for longer")
        return Flow(self._texts, self._characters, self._end - self._began)


async def open_loop(ask: Ask, requests: Iterator[Any], *, rate: float, seconds: float, seed: int = 1) -> list[float]:
    """Send requests at random moments, `rate` a second on average, whether or not earlier ones are answered.

    Returns:
        Milliseconds of each from the moment it was due, so that neither waiting nor a late client is hidden; infinity
        for what was not answered.
    """
    choose = random.Random(seed)
    times: list[float] = []
    tasks: list[asyncio.Task[None]] = []

    async def one(due: float, request) -> None:
        await ask(request)
        times.append((time.perf_counter() - due) * 1000)

    began = due = time.perf_counter()
    while (due := due + choose.expovariate(rate)) < began + seconds:
        if (early := due - time.perf_counter()) > 0:
            await asyncio.sleep(early)
        tasks.append(asyncio.create_task(one(due, next(requests))))
    if tasks:
        _, late = await asyncio.wait(tasks, timeout=PATIENCE)
        for task in late:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return times + [float("inf")] * (len(tasks) - len(times))


async def alone(ask: Ask, request, *, rounds: int) -> list[float]:
    """Return the milliseconds of each of so many requests, one after the other."""
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        await ask(request)
        times.append((time.perf_counter() - began) * 1000)
    return times


def percentile(times: Sequence[float], share: float) -> float:
    """Return the time that `share` of 100 do not exceed: the nearest rank."""
    ordered = sorted(times)
    return ordered[max(0, min(len(ordered) - 1, -(-int(len(ordered) * share) // 100) - 1))]


def summary(times: Sequence[float]) -> dict[str, float]:
    """Return count and percentiles for JSON; what was not answered is counted apart and is None as a time."""
    lost = sum(t == float("inf") for t in times)
    marks = {f"p{share}": percentile(times, share) for share in (50, 95, 99)}
    return {"count": len(times), "unanswered": lost} | {
        name: None if t == float("inf") else round(t, 3) for name, t in marks.items()
    }
