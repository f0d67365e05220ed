"""What waits and who works: one read-only look at the queue, in one round trip. All of it comes from Redis.

`Client.backlog()` and `AsyncClient.backlog()` give a `Backlog`; `hanner status`, the gateway and QueueFull tell it.
"""

import json
from collections.abc import Sequence
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError
from redis import Redis

from hanner.contract import HEADER
from hanner.errors import QueueFull
from hanner.queue.keys import QueueKeys, as_text

SAMPLE: Final = 16
"""Messages whose headers are read to learn how many texts the waiting requests hold."""

# Bodies hold the texts, may be large, and are not needed: of a message only what follows its body is returned.
# KEYS: dead letters, leases, lists. ARGV: the owners' key without the id, messages to sample, the first bulk list.
# Returns the time, depth and a sample of each kind, the oldest of each list, dead letters, workers.
LOOK: Final = """
local now = redis.call('TIME')
local function tail(list, index)
    local message = redis.call('LINDEX', list, index)
    local start = message and string.find(message, '"headers":', 1, true)
    return start and string.sub(message, start) or ''
end
local depth, oldest, sample = {0, 0}, {{}, {}}, {{}, {}}
for k = 3, #KEYS do
    local length, kind = redis.call('LLEN', KEYS[k]), k < tonumber(ARGV[3]) and 1 or 2
    depth[kind] = depth[kind] + length
    if length > 0 then
        oldest[kind][#oldest[kind] + 1] = tail(KEYS[k], -1)
        local many = math.min(length, tonumber(ARGV[2]))
        for i = 0, many - 1 do
            sample[kind][#sample[kind] + 1] = tail(KEYS[k], math.floor(i * length / many))
        end
    end
end
local workers = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], now[1] * 1000 + math.floor(now[2] / 1000), '+inf')) do
    workers[#workers + 1] = {id, redis.call('HGETALL', ARGV[1] .. id)}
end
return {now[1] .. '.' .. string.format('%06d', now[2]), depth, oldest, sample, redis.call('HLEN', KEYS[1]), workers}
"""


def _number(value: Any) -> Any:
    """What an older or newer worker leaves empty counts as nothing."""
    return value or 0


Count = Annotated[int, BeforeValidator(lambda value: int(float(_number(value))))]
Amount = Annotated[float, BeforeValidator(_number)]


class WorkerState(BaseModel):
    """A worker whose lease holds, as it described itself when it last renewed it.

    Attributes:
        id: Names it among the leases.
        host: Its machine.
        pid: Its parent process.
        processes: Processes in its pool.
        model: NAME@DIGEST8.
        started: Unix seconds.
        texts: Texts it has answered since.
        rate: Texts a second, of late.
        batch_texts: Mean number of texts in a batch, of late.
        latency_ms: Mean time from being received to being answered, of late.
        unacked: Requests it holds and has not answered yet.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    host: str = ""
    pid: Count = 0
    processes: Count = 0
    model: str = ""
    started: Amount = 0.0
    texts: Count = 0
    rate: Amount = 0.0
    batch_texts: Amount = 0.0
    latency_ms: Amount = 0.0
    unacked: Count = 0


class Backlog(BaseModel):
    """The queue at one moment.

    Attributes:
        depth: Requests that wait; those a worker holds are not among them.
        texts: Texts in them; estimated from a sample where requests hold several.
        bulk: How many of these requests are bulk, which workers take only when no interactive ones wait.
        bulk_texts: Texts in those.
        oldest_seconds: How long the oldest of all has waited; None when nothing waits or its sender did not say when.
        interactive_oldest_seconds: The same of the interactive ones.
        bulk_oldest_seconds: The same of the bulk ones.
        unacked: Requests that workers hold and have not answered yet.
        dead: Dead letters.
        rate: Texts a second of all workers together, of late.
        workers: Those whose lease holds, by host and process.
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
    dead: int = 0
    rate: float = 0.0
    workers: tuple[WorkerState, ...] = ()

    @property
    def seconds(self) -> float | None:
        """How long what waits will take at this rate; None when no rate is known."""
        return self.texts / self.rate if self.rate > 0 else None

    @property
    def interactive_seconds(self) -> float | None:
        """The same of what is not bulk, which goes first."""
        return (self.texts - self.bulk_texts) / self.rate if self.rate > 0 else None


def read_backlog(redis: Redis, queue: str) -> Backlog:
    """Look at a queue. Errors of redis-py pass through."""
    keys = QueueKeys(queue)
    names = [keys.dead, keys.leases, *keys.lists]
    look: Any = redis.register_script(LOOK)
    bulk_from = names.index(keys.bulk) + 1
    now, depths, oldest, samples, dead, workers = look(keys=names, args=[keys.worker(""), SAMPLE, bulk_from])
    texts = [
        _texts(depth, [_told(tail)["texts"] for tail in sample]) for depth, sample in zip(depths, samples, strict=True)
    ]
    known = sorted((_worker(*worker) for worker in workers), key=lambda worker: (worker.host, worker.pid))
    ages = [_age(float(now), tails) for tails in oldest]
    return Backlog(
        depth=sum(depths),
        texts=sum(texts),
        bulk=depths[1],
        bulk_texts=texts[1],
        oldest_seconds=max((age for age in ages if age is not None), default=None),
        interactive_oldest_seconds=ages[0],
        bulk_oldest_seconds=ages[1],
        unacked=sum(worker.unacked for worker in known),
        dead=dead,
        rate=sum(worker.rate for worker in known),
        workers=tuple(known),
    )


def full(why: str, backlog: Backlog, *, bulk: bool = False) -> QueueFull:
    """Return the error for a queue that takes no more: `why`, how long what waits will take, and what to do.

    For a bulk request all that waits goes before it, for an interactive one only what is interactive.
    """
    seconds = backlog.seconds if bulk else backlog.interactive_seconds
    if seconds is not None:
        when = f"at {backlog.rate:,.0f} texts/s the workers need about {duration(seconds)} for what waits"
    elif backlog.workers:
        when = "the workers have not said yet how fast they are"
    else:
        when = "no worker runs"
    error = QueueFull(f"the queue is full: {why}; {when}. Wait and send again, use stream(), or start more workers")
    error.seconds = seconds
    return error


def duration(seconds: float) -> str:
    """Say a duration with two units at most: `2 min 28 s`."""
    units = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
    whole = max(1, round(seconds))
    parts = []
    for name, size in units:
        count, whole = divmod(whole, size)
        parts.append(f"{count} {name}" if count else "")
    first = next(number for number, part in enumerate(parts) if part)
    return " ".join(part for part in parts[first : first + 2] if part)


def _age(now: float, tails: Sequence[bytes | str]) -> float | None:
    """Return for how many seconds the oldest of these messages has waited, if one says when it was sent."""
    sent = [told["sent_at"] for told in map(_told, tails) if told["sent_at"]]
    return max(0.0, now - min(sent)) if sent else None


def _texts(depth: int, sample: Sequence[int]) -> int:
    return round(depth * sum(sample) / len(sample)) if sample else 0


def _told(tail: bytes | str) -> dict[str, Any]:
    """Return what a message's end says: `texts` and `sent_at`; one text at an unknown time when it says nothing."""
    try:
        headers = json.loads(b"{" + tail if isinstance(tail, bytes) else "{" + tail)["headers"]
        said = headers.get(HEADER) or {}
        return {"texts": max(1, int(said.get("texts", 1))), "sent_at": float(said.get("sent_at", 0))}
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError):  # anybody may send
        return {"texts": 1, "sent_at": 0.0}


def _worker(worker: bytes | str, fields: Sequence[bytes | str]) -> WorkerState:
    said = [as_text(field) for field in fields]
    described = dict(zip(said[::2], said[1::2], strict=True))
    try:
        return WorkerState(**described | {"id": as_text(worker)})  # type: ignore[arg-type]
    except ValidationError:  # what it says cannot be read; that it is there can
        return WorkerState(id=as_text(worker))
