"""Simulate the scheduler: latency by load, and interactive texts beside bulk work. Deterministic; no worker runs.

    python tests/benchmarks/scheduling.py [--processes 2] [--batch-ms 50] [--texts 10000] [--interactive 2]

The scheduler is the real one; processes, arrivals and the clock are simulated, and polling the queue takes no time.
COSTS has the durations of batches, as measured on one core with AMX. Prints for each size of the model, and for texts
like those of MSRA and for lengths of 4 to 2,000 characters:

- p50 and p99 in ms at shares of the capacity, and the mean number of texts in a batch. The capacity is measured with
  WINDOW texts in flight; then batches are full.
- the same for interactive texts, of which --interactive arrive per second, beside bulk requests that occupy all
  processes, with and without interruptions.
"""

import argparse
import heapq
import itertools
import math
import random
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from hanner.settings import Settings
from hanner_inference.pipeline import PART_TOKENS
from hanner_worker.batching.dispatcher import PARTS_PER_TARGET
from hanner_worker.batching.scheduler import BatchLimits, BatchScheduler, QueuedRequest, Size, estimate_size

LOADS = (10, 30, 50, 70, 80, 90, 95)
"""Percent of the capacity."""
WINDOW = {"bundled": 256, "base": 128}
MAX_LENGTH = 512
BULK_TEXTS = 64
"""Texts in a bulk request, as `Client.stream` sends them."""


class Cost(NamedTuple):
    """The durations of batches, in seconds.

    Attributes:
        batch: For each batch: pickling, Redis, the first steps of the engine.
        text: For each text: JSON, Redis.
        token: For each token.
        square: For each pair of tokens in a window: attention.
    """

    batch: float
    text: float
    token: float
    square: float

    def of(self, texts: Sequence[int]) -> float:
        """Return the duration of a batch of texts with these lengths."""
        room = MAX_LENGTH - 2
        windows = [min(room, length - start) + 2 for length in texts for start in range(0, length, room)]
        squares = sum(window**2 for window in windows)
        return self.batch + len(texts) * self.text + sum(windows) * self.token + squares * self.square


COSTS = {"bundled": Cost(2.5e-3, 1e-4, 3.2e-5, 3e-8), "base": Cost(8e-3, 1e-4, 2.25e-4, 3e-7)}
Length = Callable[[random.Random], int]


def like_msra(rng: random.Random) -> int:
    """Return a length distributed like those of MSRA's dev set: 44 characters on average, at most 100."""
    return max(4, min(100, round(rng.gammavariate(3.5, 12.5))))


def mixed(rng: random.Random) -> int:
    """Return a length of 4 to 2,000 characters; each order of magnitude is equally likely."""
    return round(math.exp(rng.uniform(math.log(4), math.log(2000))))


LENGTHS: dict[str, Length] = {"like MSRA": like_msra, "4 to 2,000": mixed}


@dataclass
class Request:
    """A request: its size, the lengths of the texts that are left, when it arrived, and its priority."""

    size: Size
    texts: list[int]
    arrived: float
    bulk: bool


@dataclass(order=True)
class Run:
    """A batch on a process. An interruptible one ends after any of its parts."""

    end: float
    number: int
    keys: list[str] = field(compare=False)
    started: float = field(compare=False)
    left: list[list[int]] = field(compare=False, default_factory=list)
    """The parts that follow the running one."""


@dataclass
class Worker:
    """A simulated worker.

    Attributes:
        cost: The durations of batches.
        processes: Number of processes.
        scheduler: The real scheduler.
        interrupts: Whether interactive texts interrupt bulk batches.
    """

    cost: Cost
    processes: int
    scheduler: BatchScheduler
    interrupts: bool = True
    now: float = 0.0
    latencies: dict[bool, list[float]] = field(default_factory=lambda: {False: [], True: []})  # by kind: True is bulk
    durations: list[float] = field(default_factory=list)
    requests: dict[str, Request] = field(default_factory=dict)
    running: list[Run] = field(default_factory=list)
    serial: Iterator[int] = field(default_factory=itertools.count)

    def add(self, texts: list[int], *, bulk: bool = False) -> None:
        """Queue a request that arrives now, and start what can start."""
        size = estimate_size(("字" * length for length in texts), MAX_LENGTH)
        key = str(next(self.serial))
        self.requests[key] = Request(size, texts, self.now, bulk)
        self.queue(key)
        self.dispatch()

    def queue(self, key: str) -> None:
        request = self.requests[key]
        size = request.size
        self.scheduler.add(QueuedRequest(key, size.rows, size.tokens, request.arrived, bulk=request.bulk))

    def dispatch(self) -> None:
        """Start batches on idle processes."""
        while batch := self.scheduler.take(self.processes - len(self.running), self.processes):
            keys = [request.key for request in batch]
            texts = sorted(itertools.chain(*(self.requests[key].texts for key in keys)), reverse=True)
            parts = self.parts(texts) if batch[0].bulk and self.interrupts else [texts]
            run = Run(self.now + self.cost.of(parts[0]), next(self.serial), keys, self.now, parts[1:])
            heapq.heappush(self.running, run)

    def parts(self, texts: list[int]) -> list[list[int]]:
        """Return the texts of a batch in the parts after which it can be interrupted."""
        limit = max(PART_TOKENS, self.scheduler.cost.tokens(self.scheduler.limits.seconds / PARTS_PER_TARGET))
        parts: list[list[int]] = [[]]
        for text in texts:
            if parts[-1] and sum(parts[-1]) + text > limit:
                parts.append([])
            parts[-1].append(text)
        return parts

    def step(self) -> list[Request]:
        """Run until a part of a batch ends; return the requests that have ended with it."""
        run = heapq.heappop(self.running)
        self.now = run.end
        if run.left and not self.scheduler.interactive_waits():
            part = run.left.pop(0)
            run.end += self.cost.of(part) - self.cost.batch
            heapq.heappush(self.running, run)
            return []
        ended = self.interrupt(run) if run.left else self.finish(run)
        self.dispatch()
        return ended

    def interrupt(self, run: Run) -> list[Request]:
        """Queue the requests of an interrupted batch again. The simulated ones are large: none of them is finished."""
        (key,) = run.keys
        self.requests[key].texts = [text for part in run.left for text in part]
        self.queue(key)
        return []

    def finish(self, run: Run) -> list[Request]:
        ended = [self.requests.pop(key) for key in run.keys]
        self.durations.append(self.now - run.started)
        self.scheduler.cost.learn(sum(request.size.tokens for request in ended), self.now - run.started)
        for request in ended:
            self.latencies[request.bulk].append(self.now - request.arrived)
        return ended


def make_worker(options: argparse.Namespace, size: str, *, interrupts: bool = True) -> Worker:
    settings = Settings()
    limits = BatchLimits(settings.batch_tokens, settings.batch_texts, options.batch_ms / 1000)
    return Worker(COSTS[size], options.processes, BatchScheduler(limits), interrupts)


def capacity(worker: Worker, length: Length, window: int, texts: int) -> float:
    """Keep `window` texts in flight, and return the texts per second."""
    rng = random.Random(1)
    for _ in range(window):
        worker.add([length(rng)])
    while len(worker.latencies[False]) < texts:
        for _ in worker.step():
            worker.add([length(rng)])
    return len(worker.latencies[False]) / worker.now


def random_arrivals(worker: Worker, length: Length, rate: float, texts: int) -> None:
    """Add interactive texts at random times, and run until all are answered."""
    rng, due = random.Random(2), 0.0
    for _ in range(texts):
        due += rng.expovariate(rate)
        while worker.running and worker.running[0].end <= due:
            worker.step()
        worker.now = due
        worker.add([length(rng)])
    while len(worker.latencies[False]) < texts:
        worker.step()


def beside_bulk(worker: Worker, length: Length, rate: float, texts: int) -> None:
    """The same beside bulk requests, of which there are always enough."""
    rng = random.Random(3)
    for _ in range(4 * worker.processes):
        worker.add([length(rng) for _ in range(BULK_TEXTS)], bulk=True)
    due = rng.expovariate(rate)
    while len(worker.latencies[False]) < texts:
        if due < worker.running[0].end:
            worker.now = due
            worker.add([length(rng)])
            due += rng.expovariate(rate)
            continue
        for request in worker.step():
            if request.bulk:
                worker.add([length(rng) for _ in range(BULK_TEXTS)], bulk=True)


def percentiles(times: list[float]) -> str:
    ordered = sorted(times)
    return f"{statistics.median(ordered) * 1000:,.0f} / {ordered[int(len(ordered) * 0.99)] * 1000:,.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--batch-ms", type=float, default=50.0)
    parser.add_argument("--texts", type=int, default=10_000)
    parser.add_argument("--interactive", type=float, default=2.0)
    options = parser.parse_args()
    print(f"| model, texts | capacity, texts/s | full batch, ms | {' | '.join(f'{load} %' for load in LOADS)} |")
    for size, (name, length) in itertools.product(COSTS, LENGTHS.items()):
        worker = make_worker(options, size)
        rate = capacity(worker, length, WINDOW[size], options.texts)
        full = statistics.mean(worker.durations[len(worker.durations) // 2 :])
        cells = []
        for load in LOADS:
            worker = make_worker(options, size)
            random_arrivals(worker, length, rate * load / 100, options.texts)
            cells.append(percentiles(worker.latencies[False]))
        print(f"| {size}, {name} | {rate:,.0f} | {full * 1000:,.0f} | {' | '.join(cells)} |")
    print("\n| model, texts | beside bulk, interrupted | not interrupted |")
    for size, (name, length) in itertools.product(COSTS, LENGTHS.items()):
        cells = []
        for interrupts in (True, False):
            worker = make_worker(options, size, interrupts=interrupts)
            beside_bulk(worker, length, options.interactive, options.texts // 10)
            cells.append(percentiles(worker.latencies[False]))
        print(f"| {size}, {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
