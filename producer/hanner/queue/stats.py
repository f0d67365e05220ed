"""The state of a queue: waiting and scheduled requests and workers, read from Redis in one round trip. Changes nothing.

`Client.backlog()` and `AsyncClient.backlog()` return a `Backlog`; `hanner status`, the gateway and QueueFull report it.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError
from redis import Redis

from hanner.contract import HEADER
from hanner.errors import QueueFull
from hanner.queue.keys import QUEUES, QueueKeys, as_text
from hanner.utils.duration import format_duration
from hanner.utils.lua import load_script

DEFAULT_TEXT_SECONDS: Final = 0.03
"""Seconds that a worker needs for a text if no worker has measured it: a base-size model on one core."""
SAMPLE_SIZE: Final = 16
"""Messages per list whose headers are read to estimate the number of texts in all waiting requests."""
BACKLOG: Final = load_script("hanner.queue", "backlog")


def _number(value: Any) -> Any:
    """Return 0 for a field that an older or newer worker leaves empty."""
    return value or 0


def _json(value: Any) -> Any:
    """Return the value of a field that contains JSON; empty if it cannot be read."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return ()


Types = Annotated[tuple[str, ...], BeforeValidator(_json)]
Count = Annotated[int, BeforeValidator(lambda value: int(float(_number(value))))]
Amount = Annotated[float, BeforeValidator(_number)]


class WorkerState(BaseModel):
    """A worker with a valid lease, as of its last heartbeat.

    Attributes:
        id: Its id among the leases.
        host: Its host name.
        pid: Id of its parent process.
        processes: Number of processes in its pool.
        model: NAME@DIGEST8.
        types: The types that entities may have; empty if the worker does not report them.
        started: When it started, Unix seconds.
        texts: Number of texts it has answered since.
        rate: Texts per second, recently.
        batch_texts: Mean number of texts in a batch, recently.
        latency_ms: Mean time from receiving a request to its result, recently.
        busy: Mean number of processes that ran interactive batches, recently.
        text_seconds: Seconds that one process takes for a text; 0 before the first batch.
        work_seconds: Seconds that one process needs for the interactive requests that the worker has fetched.
        bulk_work_seconds: The same for bulk requests.
        unacked: Requests that it has fetched and not acknowledged.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    host: str = ""
    pid: Count = 0
    processes: Count = 0
    model: str = ""
    types: Types = ()
    started: Amount = 0.0
    texts: Count = 0
    rate: Amount = 0.0
    batch_texts: Amount = 0.0
    latency_ms: Amount = 0.0
    busy: Amount = 0.0
    text_seconds: Amount = 0.0
    work_seconds: Amount = 0.0
    bulk_work_seconds: Amount = 0.0
    unacked: Count = 0


class Backlog(BaseModel):
    """The state of a queue at one moment.

    Attributes:
        depth: Waiting requests; in-flight requests are not included.
        texts: Texts in them; estimated from a sample if requests contain several.
        bulk: How many of these requests are bulk; workers take them only when no interactive request waits.
        bulk_texts: Texts in the bulk requests.
        oldest_seconds: Age of the oldest waiting request; None if none waits, or its send time is unknown.
        interactive_oldest_seconds: The same for interactive requests.
        bulk_oldest_seconds: The same for bulk requests.
        unacked: Requests that workers have fetched and not acknowledged.
        scheduled: Requests that wait for their ETA or countdown; `depth` does not include them.
        scheduled_seconds: Seconds until the next of them is due; 0 if it is due, None if none is scheduled.
        dead: Dead letters.
        rate: Texts per second of all workers together, recently.
        workers: Workers with a valid lease, sorted by host and process id.
    """

    model_config = ConfigDict(frozen=True)

    depth: int = 0
    texts: int = 0
    bulk: int = 0
    bulk_texts: int = 0
    oldest_seconds: float | None = None
    interactive_oldest_seconds: float | None = None
    bulk_oldest_seconds: float | None = None
    unacked: int = 0
    scheduled: int = 0
    scheduled_seconds: float | None = None
    dead: int = 0
    rate: float = 0.0
    workers: tuple[WorkerState, ...] = ()

    @property
    def seconds(self) -> float | None:
        """Estimated seconds until the queue drains at the current rate; None if no rate is known."""
        return self.texts / self.rate if self.rate > 0 else None

    @property
    def interactive_seconds(self) -> float | None:
        """The same for interactive requests alone, which workers take first."""
        return (self.texts - self.bulk_texts) / self.rate if self.rate > 0 else None

    @property
    def work_seconds(self) -> float:
        """Seconds that one worker needs for all interactive requests without a result, those in workers included.

        It does not depend on the number of workers: `work_seconds / 10` workers need about ten seconds. Autoscalers
        can use it; see docs/how-to/kubernetes.md.
        """
        texts = self.texts - self.bulk_texts
        return texts * self._text_seconds + sum(each.work_seconds / max(each.processes, 1) for each in self.workers)

    @property
    def bulk_work_seconds(self) -> float:
        """The same for bulk requests."""
        fetched = sum(worker.bulk_work_seconds / max(worker.processes, 1) for worker in self.workers)
        return self.bulk_texts * self._text_seconds + fetched

    @property
    def busy_workers(self) -> float:
        """Number of workers that the interactive texts of the last seconds kept busy."""
        return sum(worker.busy / max(worker.processes, 1) for worker in self.workers)

    @property
    def _text_seconds(self) -> float:
        """Mean seconds that a worker with all its processes needs for a text."""
        measured = [each.text_seconds / max(each.processes, 1) for each in self.workers if each.text_seconds > 0]
        return sum(measured) / len(measured) if measured else DEFAULT_TEXT_SECONDS


def read_backlog(redis: Redis, queue: str) -> Backlog:
    """Return the state of a queue. Errors of redis-py pass through."""
    keys = QueueKeys(queue)
    names = [keys.dead, keys.leases, keys.scheduled, *keys.lists]
    args: list[str | int] = [keys.worker(""), SAMPLE_SIZE, names.index(keys.bulk) + 1]
    now, depths, oldest, samples, dead, workers, scheduled, next_due = BACKLOG(names, args, redis)
    texts = [_estimate_texts(depth, sample) for depth, sample in zip(depths, samples, strict=True)]
    states = sorted((_worker_state(*worker) for worker in workers), key=lambda worker: (worker.host, worker.pid))
    ages = [_oldest_age(float(now), messages) for messages in oldest]
    return Backlog(
        depth=sum(depths),
        texts=sum(texts),
        bulk=depths[1],
        bulk_texts=texts[1],
        oldest_seconds=max((age for age in ages if age is not None), default=None),
        interactive_oldest_seconds=ages[0],
        bulk_oldest_seconds=ages[1],
        unacked=sum(worker.unacked for worker in states),
        scheduled=scheduled,
        scheduled_seconds=max(0.0, float(next_due) / 1000 - float(now)) if scheduled else None,
        dead=dead,
        rate=sum(worker.rate for worker in states),
        workers=tuple(states),
    )


def merge_backlogs(backlogs: Sequence[Backlog]) -> Backlog:
    """Return the state of a queue that is spread over several Redis; `backlogs` has at least one."""

    def extreme(choose: Callable[[Iterable[float]], float], name: str) -> float | None:
        values = [value for each in backlogs if (value := getattr(each, name)) is not None]
        return choose(values) if values else None

    values: dict[str, Any] = {}
    summed = ("depth", "texts", "bulk", "bulk_texts", "unacked", "scheduled", "dead", "rate")
    oldest = ("oldest_seconds", "interactive_oldest_seconds", "bulk_oldest_seconds")
    workers = (worker for each in backlogs for worker in each.workers)
    values |= {name: sum(getattr(each, name) for each in backlogs) for name in summed}
    values |= {name: extreme(max, name) for name in oldest}
    return Backlog(
        **values,
        scheduled_seconds=extreme(min, "scheduled_seconds"),
        workers=tuple(sorted(workers, key=lambda worker: (worker.host, worker.pid))),
    )


def read_worker_names(redis: Redis) -> list[str]:
    """Return the names in Celery of hanner's workers of all queues. Errors of redis-py pass through.

    Remote-control commands that only hanner's workers have are sent to these. Other workers of the same Redis belong to
    other apps, and would log an error.
    """
    queues = [QueueKeys(as_text(name)) for name in sorted(redis.smembers(QUEUES))]
    with redis.pipeline(transaction=False) as pipe:
        for queue in queues:
            pipe.zrange(queue.leases, 0, -1)
        ids = pipe.execute()
        for queue, members in zip(queues, ids, strict=True):
            for member in members:
                pipe.hget(queue.worker(as_text(member)), "host")
        return sorted({as_text(name) for name in pipe.execute() if name})


def queue_full_error(reason: str, backlog: Backlog, *, bulk: bool = False) -> QueueFull:
    """Return the error for a full queue: the reason, an estimate of when it drains, and the next step.

    A bulk request waits for the whole backlog, an interactive one only for interactive requests.
    """
    seconds = backlog.seconds if bulk else backlog.interactive_seconds
    if seconds is not None:
        estimate = f"at {backlog.rate:,.0f} texts/s the workers need about {format_duration(seconds)} for the backlog"
    elif backlog.workers:
        estimate = "the workers have not reported a rate yet"
    else:
        estimate = "no worker runs"
    error = QueueFull(f"the queue is full: {reason}; {estimate}. Retry later, use stream(), or start more workers")
    error.seconds = seconds
    return error


def _oldest_age(now: float, messages: Sequence[bytes | str]) -> float | None:
    """Return the age in seconds of the oldest message, or None if no message has a send time."""
    sent = [sent_at for _, sent_at in map(_texts_and_time, messages) if sent_at]
    return max(0.0, now - min(sent)) if sent else None


def _estimate_texts(depth: int, sample: Sequence[bytes | str]) -> int:
    texts = [count for count, _ in map(_texts_and_time, sample)]
    return round(depth * sum(texts) / len(texts)) if texts else 0


def _texts_and_time(headers_part: bytes | str) -> tuple[int, float]:
    """Return the number of texts in a message and its send time; 1 and 0.0 if its headers do not have them."""
    try:
        part = headers_part if isinstance(headers_part, bytes) else headers_part.encode()
        header = json.loads(b"{" + part)["headers"].get(HEADER) or {}
        return max(1, int(header.get("texts", 1))), float(header.get("sent_at", 0))
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError):  # any client may send
        return 1, 0.0


def _worker_state(worker: bytes | str, fields: Sequence[bytes | str]) -> WorkerState:
    values = [as_text(field) for field in fields]
    described = dict(zip(values[::2], values[1::2], strict=True))
    try:
        return WorkerState(**described | {"id": as_text(worker)})  # type: ignore[arg-type]
    except ValidationError:  # its fields cannot be read, but its lease is valid
        return WorkerState(id=as_text(worker))
