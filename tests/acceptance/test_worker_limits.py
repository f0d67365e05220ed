"""A message that any client may send exhausts neither the memory of the worker's parent nor its time."""

import base64
import bz2
import json
import lzma
import uuid
import zlib
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from hanner.queue.keys import QueueKeys
from support.inflight import letters
from support.servers import redis_server
from support.waiting import wait_until
from support.workers import SHORT_LEASE, foreign_app, found, unacked, worker

MB = 1_000_000
METHODS = {"gzip": zlib.compress, "bzip2": bz2.compress, "lzma": lzma.compress}


@pytest.fixture(scope="module")
def shared():
    """A server and a worker that all tests of this module share."""
    with redis_server() as server, worker(server.url, "-c", "1") as running:
        yield server, running.process.pid


@pytest.fixture
def server(shared):
    return shared[0]


@pytest.fixture
def parent(shared):
    return psutil.Process(shared[1])


@pytest.fixture
def app(server):
    with foreign_app(server.url) as app:
        yield app


def send(server, body, *, task_id=None, headers=None, **properties):
    """Queue a message with a raw body, as an unknown client may; return its id."""
    task_id = task_id or str(uuid.uuid4())
    message = {
        "body": body if isinstance(body, str) else base64.b64encode(body).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"task": "hanner.extract", "id": task_id, "root_id": task_id, "lang": "py", **(headers or {})},
        "properties": {"delivery_info": {}, "delivery_tag": task_id, "body_encoding": "base64", **properties},
    }
    server.client.lpush("hanner", json.dumps(message))
    return task_id


def body_of(argument):
    return json.dumps([[argument], {}, {}], ensure_ascii=False).encode()


def error_of(app, task_id):
    """Wait for a failure, and return its class and message."""
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the app has no class for it
        app.AsyncResult(task_id).get(timeout=60)
    return type(caught.value).__name__, str(caught.value)


def dead_letters(server):
    return letters(server.client, QueueKeys("hanner"))


@contextmanager
def memory_growth(process, most):
    """Check that the largest resident memory of a process grows by at most so many bytes."""
    before = process.memory_info().rss
    folder = Path(f"/proc/{process.pid}")
    (folder / "clear_refs").write_text("5")  # resets VmHWM
    yield
    (peak,) = [line.split()[1] for line in (folder / "status").read_text().splitlines() if line.startswith("VmHWM")]
    assert int(peak) * 1024 - before < most


@pytest.mark.parametrize("method", METHODS)
def test_a_compression_bomb_is_refused_without_decompressing_it(server, app, parent, method):
    bomb = METHODS[method](b'[["' + b"x" * (150 * MB) + b'"], {}, {}]')
    with memory_growth(parent, 100 * MB):
        name, message = error_of(app, send(server, bomb, headers={"compression": method}))
    assert (name, "at least 33,554,433 bytes" in message) == ("InvalidText", True)
    assert parent.is_running()


@pytest.mark.parametrize("method", METHODS)
def test_a_compressed_request_is_answered(server, app, method):
    task_id = send(server, METHODS[method](body_of("马云")), headers={"compression": method})
    assert found(app.AsyncResult(task_id)) == 1


@pytest.mark.parametrize(
    ("compression", "body"),
    [
        ("no-such-method", body_of("马云")),
        ("gzip", b"not compressed"),
        ("gzip", zlib.compress(body_of("马云"))[:-6]),
        (5, b""),
    ],
)
def test_a_body_that_cannot_be_decompressed_gives_the_sender_an_error(server, app, compression, body):
    name, message = error_of(app, send(server, body, headers={"compression": compression}))
    assert name == "InvalidText"
    assert "compress" in message


def test_a_message_that_is_too_large_is_refused_without_fetching_it(server, app, parent):
    with memory_growth(parent, 20 * MB):
        name, message = error_of(app, send(server, "x" * (120 * MB)))
    assert (name, "and the limit is 33,554,432" in message) == ("InvalidText", True)
    assert wait_until(lambda: not server.client.keys("hanner:hanner:unacked:*"))


@pytest.mark.parametrize(
    "body",
    [b"[[" + b"[]," * (4 * MB) + b"[]],{},{}]", b"[[{" + b",".join(b'"%d":0' % n for n in range(MB)) + b"}],{},{}]"],
    ids=["lists", "keys"],
)
def test_a_body_of_millions_of_values_is_refused_without_decoding_it(server, app, parent, body):
    with memory_growth(parent, 120 * MB):
        name, _ = error_of(app, send(server, body))
    assert name == "InvalidText"


@pytest.mark.parametrize(
    "body", [b"[" * MB, b'{"a":' * MB, b"[[" + b"9" * MB + b"],{},{}]"], ids=["list", "object", "number"]
)
def test_deep_nesting_and_huge_numbers_give_the_sender_an_error(server, app, body):
    assert error_of(app, send(server, body))[0] == "InvalidText"


def test_a_text_with_millions_of_commas_is_answered(server, app):
    texts = ["马云" + "," * 90_000] * 20
    result = app.send_task("hanner.extract_many", [texts])
    assert [len(document["entities"]) for document in result.get(timeout=60)["documents"]] == [1] * 20


def test_large_requests_wait_in_redis_and_interactive_texts_overtake_them(server, app):
    large = [["马云" + "。" * 1000] * 256 for _ in range(20)]
    first = app.send_task("hanner.extract_many", [["!wait:gate", *large.pop()[1:]]], queue="hanner.bulk")
    assert server.client.blpop(["waiting"], timeout=60)
    waiting = [app.send_task("hanner.extract_many", [texts], queue="hanner.bulk") for texts in large]
    interactive = app.send_task("hanner.extract", ["马云"])
    # One runs; the next one and the interactive text are fetched, the others would need too much memory.
    assert wait_until(lambda: len(unacked(server.client)) == 3)
    assert server.client.llen("hanner.bulk") == 18
    server.client.rpush("gate", 1)
    assert found(interactive) == 1
    assert server.client.llen("hanner.bulk") >= 17
    assert len(first.get(timeout=60)["documents"]) == 256
    assert all(len(result.get(timeout=60)["documents"]) == 256 for result in waiting)


def test_a_message_that_kills_its_workers_becomes_a_dead_letter_and_the_others_are_answered():
    with redis_server() as server, foreign_app(server.url) as app:
        poison = send(server, body_of("马云"), task_id="!die-parent")
        others = [app.send_task("hanner.extract", ["马云"]) for _ in range(5)]
        deaths = 0
        while not dead_letters(server):
            with worker(server.url, "-c", "1", env=SHORT_LEASE, ready=False) as running:
                ended = wait_until(lambda running=running: running.process.poll() or dead_letters(server))
            deaths += ended == -9
            assert deaths <= 3
        assert deaths == 3
        (letter,) = dead_letters(server)
        assert (letter["id"], letter["code"], letter["crashes"]) == (poison, "worker_lost", 3)
        assert json.loads(letter["message"])["headers"]["id"] == poison
        assert error_of(app, poison)[0] == "WorkerLost"
        with worker(server.url, "-c", "1", env=SHORT_LEASE):
            assert [found(other) for other in others] == [1] * 5
