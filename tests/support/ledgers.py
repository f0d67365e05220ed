"""A worker's ledger on a real server, without the worker. Its messages are `message of ID`, in the list `hanner`."""

import json

from hanner.queue.keys import QueueKeys
from hanner_worker.delivery.inflight import FetchRequest, InFlightStore
from hanner_worker.delivery.scripts import TAKE


def make_ledger(lease=5.0, *, queue="hanner", **options):
    return InFlightStore(QueueKeys(queue), lease, **options)


def push(client, *ids, queue="hanner"):
    """Queue messages, the first to be taken first."""
    for task_id in ids:
        client.lpush(queue, f"message of {task_id}")


def take(client, ledger, most=1000, lists=("hanner",), *, idle=True):
    """Take as the transport does, of one kind."""
    return take_kinds(client, ledger, FetchRequest(lists, most, idle))


def take_kinds(client, ledger, *wants):
    """Take as the transport does, of several kinds."""
    return InFlightStore.taken(TAKE(client, *ledger.take_command(*wants)))


def hold(client, ledger, *ids):
    """Queue messages and take them; return their tags."""
    push(client, *ids)
    return [tag for tag, _ in take(client, ledger).messages]


def queued(client, queue="hanner"):
    """Return the ids in the queue, the next to be taken first."""
    return [raw.decode().removeprefix("message of ") for raw in reversed(client.lrange(queue, 0, -1))]


def nothing_is_held(client):
    """Tell whether no worker holds a message, or remembers one."""
    return set(client.keys("hanner:*")) <= {b"hanner:hanner:leases", b"hanner:queues"}


def letters(client, keys):
    """Return all dead letters."""
    return [json.loads(letter) for letter in client.hvals(keys.dead)]
