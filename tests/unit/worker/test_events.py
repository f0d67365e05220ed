"""Events gather for a moment and leave together; what each says is what Celery's dispatcher says."""

import json

import pytest
from celery import Celery
from celery.events.dispatcher import EventDispatcher

from hanner_worker.batching import events
from hanner_worker.batching.events import GATHERED, Announcer


class Producer:
    """Keeps what is published; fails while it is told to."""

    def __init__(self):
        self.published = []
        self.failing = False

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

    def make(kind=Announcer, **options):
        flushes = []
        options = {"buffer_group": ["task"], "on_send_buffered": lambda: flushes.append(1), **options}
        connection = app.connection_for_write()
        announcer = kind(connection, hostname="w@h", app=app, **options)
        announcer.producer, announcer.flushes = Producer(), flushes
        made.append((announcer, connection))
        return announcer

    yield make
    for announcer, connection in made:
        announcer.close()
        connection.release()


def types(published):
    return [(key, [event["type"] for event in content]) for key, content in published]


def test_what_happens_within_a_moment_is_one_message(make):
    announcer = make()
    for kind in ("task-received", "task-started", "hanner-batch", "task-succeeded"):
        announcer.send(kind, uuid="1")
    assert announcer.producer.published == []
    assert announcer.flushes == [1]  # one flush is asked for, not one per event
    announcer.flush()
    assert types(announcer.producer.published) == [
        ("task.multi", ["task-received", "task-started", "task-succeeded"]),
        ("hanner.multi", ["hanner-batch"]),
    ]
    announcer.send("task-received", uuid="2")
    assert announcer.flushes == [1, 1]


def test_an_event_says_what_celery_says(make):
    ours, theirs = make(), make(EventDispatcher)
    for announcer in (ours, theirs):
        announcer.send("task-received", uuid="1", name="hanner.extract", retries=0)
        announcer.flush()
    ((_, (mine,)),), ((_, (other,)),) = ours.producer.published, theirs.producer.published
    assert mine["clock"] < other["clock"]
    varying = {"clock", "timestamp"}
    assert {k: v for k, v in mine.items() if k not in varying} == {k: v for k, v in other.items() if k not in varying}
    assert mine.keys() == other.keys()
    assert 0 <= other["timestamp"] - mine["timestamp"] < 60


def test_too_many_do_not_wait(make, monkeypatch):
    monkeypatch.setattr(events, "MOST", 3)
    announcer = make()
    for _ in range(3):
        announcer.send("task-started", uuid="1")
    assert [len(content) for _, content in announcer.producer.published] == [3]


def test_events_about_workers_are_sent_as_they_come(make):
    announcer = make()
    announcer.send("worker-heartbeat", freq=2)
    ((key, event),) = announcer.producer.published
    assert (key, event["type"], event["freq"]) == ("worker.heartbeat", "worker-heartbeat", 2)


def test_without_a_loop_nothing_waits(make):
    announcer = make(buffer_group=None, on_send_buffered=None)
    announcer.send("task-started", uuid="1")
    assert len(announcer.producer.published) == 1


@pytest.mark.parametrize("options", [{"enabled": False}, {"groups": ["worker"]}])
def test_what_nobody_wants_is_not_sent(make, options):
    announcer = make(**options)
    announcer.send("task-started", uuid="1")
    announcer.flush()
    assert (announcer.producer.published, announcer.flushes) == ([], [])


def test_a_new_connection_takes_over_what_waited(make):
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
    assert {"task", "hanner"} == GATHERED
