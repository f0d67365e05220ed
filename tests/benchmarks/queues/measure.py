"""One measurement of one contender, and what it comes to per text."""

import statistics
import time
from dataclasses import asdict, dataclass, field

from benchmarks.queues.latency import open_loop
from benchmarks.queues.rig import Rig

LOAD = 0.5
"""Share of its own rate at which a contender's latency is measured."""
WARM_UP = 64


@dataclass(frozen=True)
class Row:
    """What was measured of one contender, with or without events; times per text in µs of processor time.

    Attributes:
        contender: its name.
        events: whether the worker sent events.
        texts: how many were put through.
        enqueued: texts sent per second, by one process.
        consumed: texts answered per second, out of a full queue.
        client: to send.
        parent: the worker's parent process.
        child: its pool processes together.
        redis: from the first text waiting to the last answered.
        commands: that Redis ran to queue and to answer a text, those inside scripts too.
        round_trips: how often Redis read from a connection for a text.
        p50: latency of a request at LOAD, in ms.
        p99: likewise.
        commandstats: commands per text by name.
    """

    contender: str
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

    @property
    def processor(self):
        """Processor time per text of the worker and Redis, in µs."""
        return self.parent + self.child + self.redis

    def as_json(self):
        return asdict(self) | {"processor": self.processor}


def measure(contender, *, events, texts, processes, seconds):
    """Measure a contender once.

    Args:
        contender: see contenders.py.
        events: whether the worker sends events.
        texts: how many to put through.
        processes: of the worker's pool.
        seconds: for which latency is measured; 0 leaves it out.
    """
    texts = max(1, texts // contender.texts) * contender.texts
    with Rig(contender.system, events=events, processes=processes) as rig, contender.sender(rig.url) as send:
        warm = max(WARM_UP, 4 * contender.texts)
        send(compose(warm))
        rig.release()
        rig.wait_answered(warm // contender.texts)
        rig.client.config_resetstat()
        wall, processor = time.perf_counter(), time.process_time()
        send(compose(texts))
        enqueued, client = time.perf_counter() - wall, time.process_time() - processor
        before = rig.costs()
        wall = time.perf_counter()
        rig.release()
        consumed = rig.wait_answered((warm + texts) // contender.texts) - wall
        spent = rig.costs().since(before)
        commands, reads = rig.commands()
        latencies = at_load(rig, contender, send, texts / consumed, seconds) if seconds else [0.0] * 2
    return Row(
        contender.name,
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
    )


def at_load(rig, contender, send, rate, seconds):
    """Return latencies in ms at LOAD of a rate in texts per second."""
    requests = max(20, int(rate * LOAD * seconds / contender.texts))
    send(compose(requests * contender.texts))
    return open_loop(rig.client, *rig.take(), rate * LOAD / contender.texts)


def compose(count):
    """Return so many texts, all different."""
    return [f"{number:06d}马云在杭州阿里巴巴总部发表演讲" for number in range(count)]


def median(rows):
    """Return the row of medians of several measurements of the same contender."""
    first = rows[0]
    names = ("enqueued", "consumed", "client", "parent", "child", "redis", "commands", "round_trips", "p50", "p99")
    figures = {name: statistics.median(getattr(row, name) for row in rows) for name in names}
    return Row(first.contender, first.events, first.texts, **figures, commandstats=first.commandstats)
