"""Events are buffered and sent together; each is as Celery's dispatcher would send it."""

import json
from types import SimpleNamespace

import pytest
from celery import Celery
from celery.events.dispatcher import EventDispatcher

from hanner_worker.batching import events
from hanner_worker.batching.events import BUFFERED_GROUPS, BufferedEventDispatcher


class Producer:
    """Stores published messages; raises while `failing`."""

    def __init__(self):
        self.published = []
        self.failing = False
        self.channel = SimpleNamespace(fanout_receivers=None)

    def publish(self, content, **options):
        if self.failing:
            raise ConnectionError
        events = json.loads(content) if options.get("content_type") == "application/json" else content
        self.published.append((options["routing_key"], events))


@pytest.fixture
def app():
    app = Celery("test", broker="memory://", set_as_current=False)
    yield app
    app.close()


@pytest.fixture
def make(app):
    made = []

    def make(kind=BufferedEventDispatcher, **options):
        flushes = []
        options = {"buffer_group": ["task"], "on_send_buffered": lambda: flushes.append(1), **options}
        connection = app.connection_for_write()
        dispatcher = kind(connection, hostname="w@h", app=app, **options)
        dispatcher.producer, dispatcher.flushes = Producer(), flushes
        made.append((dispatcher, connection))
        return dispatcher

    yield make
    for dispatcher, connection in made:
        dispatcher.close()
        connection.release()


def types(published):
    return [(key, [event["type"] for event in content]) for key, content in published]


def test_buffered_events_are_one_message_per_group(make):
    dispatcher = make()
    for kind in ("task-received", "task-started", "hanner-batch", "task-succeeded"):
        dispatcher.send(kind, uuid="1")
    assert dispatcher.producer.published == []
    assert dispatcher.flushes == [1]  # one flush is scheduled, not one per event
    dispatcher.flush()
    assert types(dispatcher.producer.published) == [
        ("task.multi", ["task-received", "task-started", "task-succeeded"]),
        ("hanner.multi", ["hanner-batch"]),
    ]
    dispatcher.send("task-received", uuid="2")
    assert dispatcher.flushes == [1, 1]


def test_an_event_is_as_celery_would_send_it(make):
    ours, theirs = make(), make(EventDispatcher)
    for dispatcher in (ours, theirs):
        dispatcher.send("task-received", uuid="1", name="hanner.extract", retries=0)
        dispatcher.flush()
    ((_, (mine,)),), ((_, (other,)),) = ours.producer.published, theirs.producer.published
    assert mine["clock"] < other["clock"]
    varying = {"clock", "timestamp"}
    assert {k: v for k, v in mine.items() if k not in varying} == {k: v for k, v in other.items() if k not in varying}
    assert mine.keys() == other.keys()
    assert 0 <= other["timestamp"] - mine["timestamp"] < 60


def test_fields_are_made_when_the_event_is_sent(make):
    dispatcher, made = make(), []
    dispatcher.send_later("task-started", lambda uuid: made.append(uuid) or {"uuid": uuid}, "1")
    assert made == []
    dispatcher.flush()
    ((_, (event,)),) = dispatcher.producer.published
    assert made == ["1"]
    assert event.keys() == {"uuid", "type", "hostname", "pid", "utcoffset", "clock", "timestamp"}


def test_events_that_celerys_method_buffers_are_sent_too(make):
    dispatcher = make()
    dispatcher.send("task-received", True, uuid="1")
    dispatcher.send("task-started", uuid="1")
    dispatcher.flush()
    assert types(dispatcher.producer.published) == [("task.multi", ["task-received", "task-started"])]


def test_without_an_event_loop_fields_are_made_at_once(make):
    dispatcher = make(buffer_group=None, on_send_buffered=None)
    dispatcher.send_later("task-started", lambda uuid: {"uuid": uuid}, "1")
    ((key, event),) = dispatcher.producer.published
    assert (key, event["uuid"]) == ("task.started", "1")


def send_and_flush(dispatcher, *uuids):
    for uuid in uuids:
        dispatcher.send("task-started", uuid=uuid)
    dispatcher.flush()
    published = [[event["uuid"] for event in content] for _, content in dispatcher.producer.published]
    dispatcher.producer.published.clear()
    return published


def test_events_without_a_receiver_are_dropped_except_the_first(make):
    dispatcher = make()
    dispatcher.producer.channel.fanout_receivers = 0
    assert send_and_flush(dispatcher, "1", "2") == [["1", "2"]]  # whether there is a receiver was not known
    assert send_and_flush(dispatcher, "3", "4") == [["3"]]
    assert send_and_flush(dispatcher, "5") == [["5"]]


def test_a_new_receiver_gets_all_buffered_events_in_order(make):
    dispatcher = make()
    dispatcher.producer.channel.fanout_receivers = 0
    send_and_flush(dispatcher, "1")
    dispatcher.producer.channel.fanout_receivers = 1
    assert send_and_flush(dispatcher, "2", "3", "4") == [["2"], ["3", "4"]]
    assert send_and_flush(dispatcher, "5", "6") == [["5", "6"]]


def test_receivers_of_batches_only_are_noticed(make):
    dispatcher = make()
    dispatcher.producer.channel.fanout_receivers = 0
    send_and_flush(dispatcher, "1")
    dispatcher.producer.channel.fanout_receivers = 1
    dispatcher.send("hanner-batch", batch=1)
    dispatcher.send("hanner-batch", batch=2)
    dispatcher.flush()
    assert types(dispatcher.producer.published) == [("hanner.multi", ["hanner-batch"] * 2)]


def test_events_that_could_not_be_sent_are_kept_without_a_receiver(make):
    dispatcher = make()
    dispatcher.producer.channel.fanout_receivers = 0
    send_and_flush(dispatcher, "1")
    dispatcher.producer.failing = True
    assert send_and_flush(dispatcher, "2", "3") == []
    dispatcher.producer.failing = False
    dispatcher.producer.channel.fanout_receivers = 1
    assert send_and_flush(dispatcher, "4") == [["2"], ["3"], ["4"]]


def test_a_full_buffer_is_flushed_at_once(make, monkeypatch):
    monkeypatch.setattr(events, "MAX_BUFFERED", 3)
    dispatcher = make()
    for _ in range(3):
        dispatcher.send("task-started", uuid="1")
    assert [len(content) for _, content in dispatcher.producer.published] == [3]


def test_events_about_workers_are_sent_at_once(make):
    dispatcher = make()
    dispatcher.send("worker-heartbeat", freq=2)
    ((key, event),) = dispatcher.producer.published
    assert (key, event["type"], event["freq"]) == ("worker.heartbeat", "worker-heartbeat", 2)


def test_without_an_event_loop_nothing_is_buffered(make):
    dispatcher = make(buffer_group=None, on_send_buffered=None)
    dispatcher.send("task-started", uuid="1")
    assert len(dispatcher.producer.published) == 1


@pytest.mark.parametrize("options", [{"enabled": False}, {"groups": ["worker"]}])
def test_disabled_events_are_not_sent(make, options):
    dispatcher = make(**options)
    dispatcher.send("task-started", uuid="1")
    dispatcher.flush()
    assert (dispatcher.producer.published, dispatcher.flushes) == ([], [])


def test_a_new_connection_takes_over_the_buffer(make):
    before, after = make(), make()
    before.producer.failing = True
    before.send("task-received", uuid="1")
    before.flush()
    before.send("task-started", uuid="1")
    after.send("task-succeeded", uuid="1")
    after.extend_buffer(before)
    after.flush()
    assert types(after.producer.published) == [
        ("task.multi", ["task-received"]),
        ("task.multi", ["task-started", "task-succeeded"]),
    ]
    assert {"task", "hanner"} == BUFFERED_GROUPS
