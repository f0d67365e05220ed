"""One measurement of one scenario, and its results per text."""

import statistics
import time
from dataclasses import asdict, dataclass, field

from benchmarks.queues.latency import open_loop
from benchmarks.queues.stack import WorkerStack

LOAD = 0.5
"""Share of a scenario's own rate at which its latency is measured."""
WARM_UP = 64


@dataclass(frozen=True)
class Row:
    """The results of one scenario, with or without events.

    Attributes:
        scenario: its name.
        events: whether the worker sent events.
        texts: number of texts.
        enqueued: texts sent per second by one process.
        consumed: texts processed per second from a full queue.
        client: CPU time of the client to send a text, in µs, as the following ones.
        parent: CPU time of the worker's parent process per text.
        child: CPU time of its pool processes per text.
        redis: CPU time of Redis per text, without the sending.
        commands: Redis commands per text, including those in scripts.
        round_trips: reads of Redis from its connections per text.
        p50: median latency of a request at LOAD, in ms.
        p99: 99th percentile of it.
        commandstats: commands per text by name.
        listener: whether a client received the events.
    """

    scenario: str
    events: bool
    texts: int
    enqueued: float
    consumed: float
    client: float
    parent: float
    child: float
    redis: float
    commands: float
    round_trips: float
    p50: float
    p99: float
    commandstats: dict = field(default_factory=dict)
    listener: bool = True

    @property
    def cpu(self):
        """CPU time of worker and Redis per text, in µs."""
        return self.parent + self.child + self.redis

    def as_json(self):
        return asdict(self) | {"processor": self.cpu}


def measure(scenario, *, events, listener, texts, processes, seconds):
    """Return the results of one measurement of a scenario.

    Args:
        scenario: the scenario.
        events: whether the worker sends events.
        listener: whether a client receives them.
        texts: number of texts.
        processes: number of pool processes.
        seconds: duration of the latency measurement; 0 for none.
    """
    texts = max(1, texts // scenario.texts) * scenario.texts
    system = WorkerStack(scenario.system, events=events, listener=listener, processes=processes)
    with system as stack, scenario.sender(stack.url) as send:
        warm = max(WARM_UP, 4 * scenario.texts)
        send(make_texts(warm))
        stack.release()
        stack.wait_for_results(warm // scenario.texts)
        stack.client.config_resetstat()
        started, cpu = time.perf_counter(), time.process_time()
        send(make_texts(texts))
        enqueued, client = time.perf_counter() - started, time.process_time() - cpu
        before = stack.cpu_times()
        started = time.perf_counter()
        stack.release()
        consumed = stack.wait_for_results((warm + texts) // scenario.texts) - started
        spent = stack.cpu_times().since(before)
        commands, reads = stack.commands()
        latencies = measure_latency(stack, scenario, send, texts / consumed, seconds) if seconds else [0.0] * 2
    return Row(
        scenario.name,
        events,
        texts,
        texts / enqueued,
        texts / consumed,
        client / texts * 1e6,
        spent.parent / texts * 1e6,
        spent.child / texts * 1e6,
        spent.redis / texts * 1e6,
        sum(commands.values()) / texts,
        reads / texts,
        statistics.median(latencies),
        statistics.quantiles(latencies, n=100)[98],
        {name: calls / texts for name, calls in sorted(commands.items(), key=lambda item: -item[1])},
        listener,
    )


def measure_latency(stack, scenario, send, rate, seconds):
    """Return latencies in ms at LOAD times `rate`, a rate in texts per second."""
    requests = max(20, int(rate * LOAD * seconds / scenario.texts))
    send(make_texts(requests * scenario.texts))
    return open_loop(stack.client, *stack.take_messages(), rate * LOAD / scenario.texts)


def make_texts(count):
    """Return `count` different texts."""
    return [f"{number:06d}马云在杭州阿里巴巴总部发表演讲" for number in range(count)]


def median(rows):
    """Return the medians of several measurements of the same scenario."""
    first = rows[0]
    names = ("enqueued", "consumed", "client", "parent", "child", "redis", "commands", "round_trips", "p50", "p99")
    figures = {name: statistics.median(getattr(row, name) for row in rows) for name in names}
    rest = {"commandstats": first.commandstats, "listener": first.listener}
    return Row(first.scenario, first.events, first.texts, **figures, **rest)
