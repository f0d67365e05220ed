"""Without HANNER_LOG_TEXT no message gets a text into logs, events, inspection, metrics or lists of dead letters.

Each message has a marker in one field or in all of them. Ids are not texts: events and inspection name them.
"""

import base64
import json
import urllib.request
from contextlib import contextmanager

import pytest

from support.commands import command
from support.ports import free_port
from support.servers import redis_server
from support.waiting import wait_until
from support.workers import Events, foreign_app, worker

CHINESE, ENGLISH = "金丝雀的秘密", "canary secret"
MARKER = f"{CHINESE} {ENGLISH}"
QUEUE = "hanner"


def traces(text):
    """Return every way in which a marker may be written into a log."""
    raw = text.encode()
    escaped = text.encode("unicode_escape").decode()
    # Base64 depends on the position in the encoded bytes; the characters at both ends depend on their neighbours.
    encoded = [base64.b64encode(b"x" * shift + raw).decode()[4:-4] for shift in range(3)]
    return [text, escaped, repr(raw)[2:-1], json.dumps(text)[1:-1], *encoded]


TRACES = {trace for text in (CHINESE, ENGLISH) for trace in traces(text)}


def assert_no_text(seen, where):
    assert isinstance(seen, str)
    assert seen
    found = [trace for trace in TRACES if trace in seen]
    if found:
        at = seen.index(found[0])
        raise AssertionError(f"{where}: ...{seen[max(0, at - 1500) : at + 200]}")


class Messages:
    """Builds messages that have the marker in one field or in many."""

    def __init__(self):
        self.number = 0

    def headers(self, **changes):
        self.number += 1
        task_id = f"message-{self.number}"
        return {
            "lang": "py", "task": "hanner.extract", "id": task_id, "shadow": None, "eta": None, "expires": None,
            "group": None, "group_index": None, "retries": 0, "timelimit": [None, None], "root_id": task_id,
            "parent_id": None, "argsrepr": f"('{MARKER}',)", "kwargsrepr": f"{{'{MARKER}': 1}}", "origin": MARKER,
            "ignore_result": False, "replaced_task_nesting": 0, "stamped_headers": None, "stamps": {}, **changes,
        }  # fmt: skip

    def message(self, body=None, *, properties=None, raw_body=None, **changes):
        body = [[MARKER], {}, {}] if body is None else body
        message = {
            "body": base64.b64encode(json.dumps(body).encode()).decode(),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": self.headers(**changes.pop("headers", {})),
            "properties": {
                "correlation_id": MARKER, "reply_to": MARKER, "delivery_mode": 2, "priority": 0,
                "delivery_info": {"exchange": MARKER, "routing_key": MARKER}, "body_encoding": "base64",
                "delivery_tag": MARKER, **(properties or {}),
            },
            **changes,
        }  # fmt: skip
        if raw_body is not None:
            message["body"] = raw_body
        return json.dumps(message)

    def valid(self):
        """Yield requests that are answered, as the senders of other libraries may write them."""
        yield self.message()
        yield self.message(headers={"shadow": MARKER, "request_id": MARKER, "hanner": {"sent_at": MARKER}})
        yield self.message([[[MARKER, 7, "!raise:" + MARKER]], {}, {}], headers={"task": "hanner.extract_many"})
        yield self.message([["!raise:" + MARKER], {}, {}])
        yield self.message([[], {"text": MARKER}, {}], headers={"group": MARKER, "stamped_headers": [MARKER]})
        yield self.message(headers={"stamps": {MARKER: MARKER}, "traceparent": MARKER, "tracestate": MARKER})
        yield self.message(properties={"priority": MARKER})
        yield self.message(headers={"meth": MARKER, "lang": MARKER, MARKER: MARKER})

    def with_steps(self):
        """Yield requests whose next steps have the marker, also such that cannot be sent."""
        step = {"task": MARKER, "args": [MARKER], "kwargs": {MARKER: MARKER}, "options": {"queue": "other"},
                "subtask_type": None, "immutable": False, "chord_size": None}  # fmt: skip
        odd = [step, {**step, "options": {"queue": MARKER, "serializer": MARKER}}, {**step, "options": MARKER},
               {**step, "options": {"countdown": MARKER}}, {**step, "args": MARKER}, {**step, "subtask_type": MARKER},
               {**step, "options": {"compression": MARKER}}]  # fmt: skip
        for one in odd:
            yield self.message([[MARKER], {}, {"callbacks": [one]}])
            yield self.message([[7], {MARKER: 1}, {"errbacks": [one]}])
            yield self.message([[MARKER], {}, {"chain": [one]}])
            yield self.message([[MARKER], {}, {"chord": one}], headers={"group": "group"})

    def wrong_values(self):
        """Yield messages in which the marker is in the place of one part, as a string or within other values."""
        for value in (MARKER, [MARKER], {"x": MARKER}, [[MARKER, MARKER]], {MARKER: None}):
            names = [name for name in self.headers() if name not in {"id", "task"} or not isinstance(value, str)]
            yield from (self.message(headers={name: value}) for name in [*names, "compression", "unheard-of"])
            for name in ("correlation_id", "delivery_info", "body_encoding", "priority", "delivery_tag"):
                yield self.message(properties={name: value})
            for name in ("content-type", "content-encoding", "headers", "properties", "body"):
                yield json.dumps({**json.loads(self.message()), name: value})
            for body in (value, [value], [value, value], [[MARKER], value, {}], [[MARKER], {}, value], {"args": value}):
                yield self.message(body)
            for name in ("callbacks", "errbacks", "chain", "chord"):
                yield self.message([[MARKER], {}, {name: value}])
            yield json.dumps(value)

    def undecodable(self):
        """Yield messages that cannot be decoded, or whose times cannot be read."""
        yield self.message(raw_body=MARKER)
        yield self.message(raw_body=base64.b64encode(MARKER.encode()).decode())
        for content_type in ("application/x-python-serialize", "application/x-yaml", "application/data", "text/plain"):
            yield self.message(**{"content-type": content_type})
        for compression in ("gzip", "zlib", "no-such", MARKER):
            yield self.message(headers={"compression": compression})
        for encoding in ("utf-16", "binary", "no-such", MARKER):
            yield self.message(**{"content-encoding": encoding})
        for time in (MARKER, f"2030-01-01 {MARKER}"):
            yield self.message(headers={"eta": time})
            yield self.message(headers={"expires": time})
        yield MARKER
        yield self.message()[:-40]

    def foreign(self):
        """Yield messages of other tasks and protocols."""
        for task in ("shop.store", MARKER, "celery.map", "celery.starmap", "celery.chunks", "celery.group",
                     "celery.chain", "celery.chord", "celery.chord_unlock", "celery.accumulate",
                     "celery.backend_cleanup"):  # fmt: skip
            yield self.message(headers={"task": task, "shadow": MARKER})
            yield self.message([[], {MARKER: MARKER}, {}], headers={"task": task})
        for number, task in enumerate(("shop.store", "hanner.extract", MARKER)):
            fields = {"task": task, "id": f"protocol-1-{number}", "args": [MARKER], "kwargs": {}, "retries": MARKER}
            yield self.message(fields, headers={"task": None})
            message = json.loads(self.message(fields))
            message["headers"] = {}
            yield json.dumps(message)
            yield json.dumps(message | {"headers": {"x": MARKER}})
        nothing = json.loads(self.message())
        nothing["headers"] = {}
        yield json.dumps(nothing)
        yield json.dumps(nothing | {"content-type": "application/x-python-serialize"})

    def identified(self):
        """Yield messages whose ids are the marker."""
        for name in ("id", "root_id", "parent_id", "group"):
            yield self.message(headers={name: MARKER})
        yield self.message(headers={"id": MARKER, "task": "shop.store"})
        yield self.message([[7], {}, {}], headers={"id": MARKER + "2"})
        yield self.message(headers={"id": MARKER + "3", "expires": "2020-01-01"})


@pytest.fixture(scope="module")
def port():
    return free_port()


@pytest.fixture(scope="module")
def server():
    with redis_server() as server:
        yield server


@pytest.fixture(scope="module")
def running(server, port):
    env = {"HANNER_METRICS_PORT": str(port)}
    with worker(server.url, "-c", "1", "-l", "DEBUG", env=env) as running:
        yield running


@pytest.fixture(scope="module")
def app(server, running):
    with foreign_app(server.url) as app:
        yield app


@pytest.fixture
def events(app):
    with Events(app) as events:
        yield events


@pytest.fixture(autouse=True)
def _no_dead_letters(server):
    """Dead letters of one test, whose ids may be the marker, are not listed in the next one."""
    server.client.delete("hanner:hanner:dead", "hanner:hanner:dead:index")


@pytest.fixture(scope="module")
def messages():
    return Messages()


@contextmanager
def occupied(server, messages):
    """Occupy the process with a request that has the marker in its headers."""
    gate = messages.message([["!wait:gate"], {}, {}], headers={"shadow": MARKER})
    server.client.lpush(QUEUE, gate)
    assert server.client.blpop(["waiting"], timeout=60)
    try:
        yield
    finally:
        server.client.rpush("gate", 1)


def handled(server, app):
    """Wait until the worker has handled all messages."""
    wait_until(lambda: not server.client.llen(QUEUE) and not server.client.keys("hanner:hanner:unacked:*"))
    assert app.send_task("hanner.extract", ["马云"]).get(timeout=60)


@pytest.mark.parametrize("kind", ["valid", "with_steps", "wrong_values", "undecodable", "foreign"])
def test_no_text_leaves_the_worker(server, app, running, port, events, messages, kind):
    with occupied(server, messages):
        for message in (*getattr(messages, kind)(), messages.message(headers={"task": "shop.store"})):  # a dead letter
            server.client.lpush(QUEUE, message)
        wait_until(lambda: not server.client.llen(QUEUE))
        inspect = app.control.inspect(timeout=60, limit=1)
        for inspected in ("active", "reserved", "scheduled", "stats", "conf", "active_queues", "revoked"):
            assert_no_text(json.dumps(getattr(inspect, inspected)(), ensure_ascii=False, default=str), inspected)
        ids = [f"message-{number}" for number in range(1, messages.number + 1)]
        assert_no_text(json.dumps(inspect.query_task(ids), ensure_ascii=False, default=str), "query_task")
    handled(server, app)
    assert_no_text(running.output, "log")
    assert_no_text(json.dumps(events.seen, ensure_ascii=False, default=str), "events")
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as reply:
        assert_no_text(reply.read().decode(), "metrics")
    with command("dead", "list", env={"HANNER_BROKER_URL": server.url}) as listed:
        assert_no_text(listed.stdout.read(), "dead letters")


def test_no_id_that_may_be_a_text_is_logged(server, app, running, messages):
    for message in messages.identified():
        server.client.lpush(QUEUE, message)
    handled(server, app)
    assert_no_text(running.output, "log")


def test_a_request_with_an_unknown_compression_gets_an_answer(server, app, messages):
    server.client.lpush(QUEUE, messages.message(headers={"compression": "no-such"}))
    with pytest.raises(Exception, match="compression of the message is not supported"):
        app.AsyncResult(f"message-{messages.number}").get(timeout=60)
