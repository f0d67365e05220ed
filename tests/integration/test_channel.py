"""The reliable channel, used as kombu's channels are: by a program that consumes or gets single messages."""

import base64
import itertools
import json
from functools import partial
from types import SimpleNamespace

import celery
import kombu
import pytest

from hanner.queue.keys import QueueKeys
from hanner.settings import Settings
from hanner.transport.celery_app import make_celery
from hanner_worker.batching.consumer import send_hello
from hanner_worker.batching.events import BufferedEventDispatcher
from hanner_worker.delivery import channel
from hanner_worker.delivery.inflight import InFlightStore
from support.waiting import wait_until

QUEUE = kombu.Queue("hanner", routing_key="hanner")
KEYS = QueueKeys("hanner")
NEVER = 600
"""Seconds that a blocked read may wait: longer than the test."""


@pytest.fixture
def inflight():
    return InFlightStore(KEYS, lease=60)


@pytest.fixture
def connection(server, inflight, monkeypatch):
    monkeypatch.setitem(kombu.transport.TRANSPORT_ALIASES, "redis", "hanner_worker.delivery.channel:Transport")
    monkeypatch.delitem(kombu.transport._transport_cache, "redis", raising=False)
    options = {channel.INFLIGHT_OPTION: inflight, "polling_interval": NEVER}
    with kombu.Connection(server.url, transport_options=options) as connection:
        yield connection
    kombu.transport._transport_cache.pop("redis", None)


def publish(connection, body, **options):
    connection.Producer(serializer="json").publish(body, routing_key="hanner", declare=[QUEUE], **options)


def in_flight(server, inflight):
    return server.client.hlen(KEYS.unacked(inflight.worker_id))


def test_message_that_was_got_is_in_flight_until_it_is_acknowledged(server, connection, inflight):
    publish(connection, "a")
    with connection.channel() as opened:
        message = QUEUE(opened).get()
        assert (message.payload, in_flight(server, inflight)) == ("a", 1)
        message.ack()
        assert QUEUE(opened).get() is None
        assert in_flight(server, inflight) == 0


def test_message_that_was_got_and_requeued_is_in_the_queue_again(server, connection, inflight):
    publish(connection, "a")
    with connection.channel() as opened:
        QUEUE(opened).get().requeue()
        assert QUEUE(opened).get(no_ack=True).payload == "a"
        assert in_flight(server, inflight) == 0


def test_message_that_was_got_by_a_process_that_ended_is_requeued(server, client, connection, inflight):
    inflight.lease = 0.001
    publish(connection, "a")
    with connection.channel() as opened:
        assert QUEUE(opened).get().payload == "a"
    other = InFlightStore(KEYS, lease=0.5)
    wait_until(lambda: other.heartbeat(client, {}).requeued == 1, timeout=60)
    assert server.client.llen("hanner") == 1


@pytest.mark.parametrize("priority", [0, 3, 9])
def test_consumer_that_starts_does_not_wait_while_messages_of_any_priority_are_queued(connection, priority):
    publish(connection, "a", priority=priority)
    received = []
    with connection.Consumer([QUEUE], callbacks=[lambda body, message: (received.append(body), message.ack())]):
        connection.drain_events(timeout=60)
    assert received == ["a"]


def set_option(name, value, client):
    client.config_set(name, value)


REFUSALS = {
    "replica": (lambda client: client.replicaof("127.0.0.1", 1), lambda client: client.replicaof("NO", "ONE")),
    "master without replicas": tuple(partial(set_option, "min-replicas-to-write", value) for value in (1, 0)),
    "full memory": tuple(partial(set_option, "maxmemory", value) for value in (1, 0)),
}


@pytest.fixture
def bulk_waiter(connection):
    with connection.channel() as opened:
        opened.brpop_timeout = 0.01
        waiter = opened.bulk_waiter
        waiter.client.connection = waiter.client.connection_pool.get_connection()
        waiter.list = KEYS.bulk
        yield waiter


@pytest.mark.parametrize(("refuse", "accept"), REFUSALS.values(), ids=REFUSALS)
def test_bulk_waiter_does_not_wait_again_at_once_if_redis_refuses_to_wait(server, bulk_waiter, refuse, accept):
    refuse(server.client)
    try:
        bulk_waiter.wait()
        bulk_waiter.on_readable()
    finally:
        accept(server.client)
    assert bulk_waiter.list is None


def test_bulk_waiter_waits_again_only_if_no_message_arrived(server, bulk_waiter):
    bulk_waiter.wait()
    bulk_waiter.on_readable()
    assert bulk_waiter.list == KEYS.bulk
    server.client.lpush(KEYS.bulk, "a")
    bulk_waiter.wait()
    bulk_waiter.on_readable()
    assert bulk_waiter.list is None  # the channel fetches the message first


class Listener:
    """Collects the events of tasks that a client of Redis receives."""

    def __init__(self, client, exchange):
        self._subscriber = client.pubsub()
        self._subscriber.psubscribe(f"*{exchange}*")
        self._subscriber.get_message(timeout=60)  # the confirmation

    def read(self, count):
        """Return the uuids of the next `count` events."""
        found = []
        while len(found) < count:
            message = self._subscriber.get_message(timeout=60)
            body = json.loads(base64.b64decode(json.loads(message["data"])["body"]))
            found += [event["uuid"] for event in body]
        return found

    def close(self):
        self._subscriber.close()


def test_events_are_published_only_while_a_client_receives_them(server, client, connection):
    app = celery.Celery("test", set_as_current=False)
    dispatcher = BufferedEventDispatcher(connection, hostname="w@h", app=app, buffer_group=["task"])
    sent = itertools.count(1)

    def send(count):
        uuids = [str(next(sent)) for _ in range(count)]
        for uuid in uuids:
            dispatcher.send_later("task-started", lambda uuid: {"uuid": uuid}, uuid)
        dispatcher.flush()
        return uuids

    send(3)
    assert dispatcher.producer.channel.fanout_receivers == 0
    listener = Listener(client, "celeryev")
    assert send(3) == listener.read(3)  # the first one alone, before it was known that there is a receiver
    assert send(2) == listener.read(2)
    listener.close()
    wait_until(lambda: client.pubsub_numpat() == 0)
    send(2)
    client.config_resetstat()
    send(100)
    assert client.info("commandstats")["cmdstat_publish"]["calls"] == 1
    dispatcher.close()
    app.close()


def test_worker_that_asked_the_others_receives_requests_at_once(server, connection, client):
    client.config_resetstat()
    app = make_celery(Settings.from_env({}, broker_url=server.url))
    app.conf.broker_transport_options = connection.transport_options
    greeting = SimpleNamespace(
        app=app, connection=connection, hostname="a", controller=SimpleNamespace(state=SimpleNamespace(revoked=()))
    )
    assert send_hello(None, greeting) == {}
    assert "cmdstat_publish" not in client.info("commandstats")  # no worker listens, so none was asked
    listener = Listener(client, "celeryev")
    assert send_hello(None, greeting) == {}
    assert client.info("commandstats")["cmdstat_publish"]["calls"] == 1
    listener.close()
    received = []
    with connection.Consumer(QUEUE, callbacks=[lambda body, message: received.append(body)]):
        publish(connection, "a")
        connection.drain_events(timeout=60)  # a channel that waited for replies would wait for NEVER
    assert received == ["a"]
    app.close()
