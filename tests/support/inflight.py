"""A worker's in-flight store on a real server, without the worker; its messages are `message of ID`."""

import json

from hanner.queue.keys import QueueKeys
from hanner_worker.delivery.inflight import Completion, FetchRequest, InFlightStore, Outcome
from hanner_worker.delivery.scripts import FETCH
from hanner_worker.payload import TaskPayload


def make_inflight(lease=5.0, *, queue="hanner", **options):
    return InFlightStore(QueueKeys(queue), lease, **options)


def push(client, *ids, queue="hanner"):
    """Queue messages, the first to be fetched first."""
    for task_id in ids:
        client.lpush(queue, f"message of {task_id}")


def fetch(client, inflight, most=1000, lists=("hanner",), *, round_up=True):
    """Fetch as the channel does, messages of one kind."""
    return fetch_kinds(client, inflight, FetchRequest(lists, most, round_up))


def fetch_kinds(client, inflight, *requests):
    """Fetch as the channel does, messages of several kinds."""
    return InFlightStore.parse_fetch(FETCH(*inflight.fetch_command(*requests), client=client))


def claim(client, inflight, *ids):
    """Queue messages and fetch them; return their tags."""
    push(client, *ids)
    return [tag for tag, _ in fetch(client, inflight).messages]


def expire_lease(client, inflight):
    """Set a worker's lease to a moment ago."""
    seconds, micros = client.time()
    client.zadd(inflight.keys.leases, {inflight.worker_id: seconds * 1000 + micros // 1000 - 1})


def make_lease_old(client, inflight):
    """Give a worker an uninterrupted lease that is long enough to expire those of others."""
    inflight.heartbeat(client, {})
    since = int(client.hget(inflight.keys.worker(inflight.worker_id), "since"))
    client.hset(inflight.keys.worker(inflight.worker_id), "since", since - 60_000)


def payload(task_id, tag="", **options):
    return TaskPayload(task_id, "hanner.extract", ["text"], {}, tag=tag, **options)


def completed(task_id, tag, result=1, outcome=Outcome.OK, **options):
    """Return the end of a request."""
    return Completion(payload(task_id, tag), outcome, result, **options)


def queued(client, queue="hanner"):
    """Return the ids in the queue, the next to be fetched first."""
    return [raw.decode().removeprefix("message of ") for raw in reversed(client.lrange(queue, 0, -1))]


def nothing_in_flight(client):
    """Return whether no worker has an unacknowledged message."""
    return set(client.keys("hanner:*")) <= {b"hanner:hanner:leases", b"hanner:queues"}


def letters(client, keys):
    """Return all dead letters."""
    return [json.loads(letter) for letter in client.hvals(keys.dead)]
