"""The blocking stream with a real server and a stub worker."""

import itertools
import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from hanner import BrokerUnreachable, Client, HannerError, InvalidSettings, TimedOut
from hanner.transport.publisher import Publisher
from support.stub_worker import StubWorker, failed, success


def numbered(count=None):
    """Return texts in which 马云 starts at their number, modulo 50."""
    numbers = itertools.count() if count is None else range(count)
    return ("字" * (number % 50) + "马云" for number in numbers)


def starts(documents):
    return [document.entities[0].start for document in documents]


def test_order_is_kept(ner, worker):
    assert starts(ner.stream(numbered(1000))) == [number % 50 for number in range(1000)]


@pytest.mark.parametrize("window", [1, 2, 3, 7, 64, 5000])
def test_window_does_not_change_results(ner, worker, window):
    assert starts(ner.stream(numbered(200), window=window)) == [number % 50 for number in range(200)]


@pytest.mark.parametrize("window", [1, 10, 300])
def test_window_limits_what_is_taken_from_an_endless_source(ner, worker, window):
    taken = 0

    def source():
        nonlocal taken
        for text in numbered():
            taken += 1
            yield text

    stream = ner.stream(source(), window=window)
    for given, _ in enumerate(itertools.islice(stream, 1000)):
        assert taken - given <= window
    stream.close()


def test_window_limits_requests_in_flight(server):
    with Client(server.url, timeout=60) as ner, StubWorker(server.url) as worker, ThreadPoolExecutor(1) as threads:
        worker.hold()
        result = threads.submit(lambda: sum(1 for _ in ner.stream(numbered(2000), window=100)))
        requests = worker.wait_for(4)
        assert sum(len(request["argument"]) for request in requests) == 100
        assert server.client.llen("hanner") == 0  # and no more is taken from the source
        worker.release()
        assert result.result(60) == 2000


def test_long_texts_are_sent_in_smaller_requests(ner, worker):
    list(ner.stream(["字" * 20_000] * 8))
    assert max(len(request["argument"]) for request in worker.requests) == 2


def test_invalid_text_does_not_end_the_stream(ner, worker):
    documents = list(ner.stream(["马云", None, "\ud800", "字" * 100_001, "马云"]))
    assert [document.error and document.error.code for document in documents] == [
        None,
        "invalid_text",
        "invalid_text",
        "invalid_text",
        None,
    ]
    assert worker.requests[0]["argument"] == ["马云", "马云"]


def test_stream_of_invalid_texts_sends_nothing(ner, server):
    assert [document.error.code for document in ner.stream([None] * 100)] == ["invalid_text"] * 100
    assert server.client.llen("hanner") == 0


def test_failed_request_gives_its_texts_the_error(ner, worker):
    worker.behaviour = lambda request: failed("WorkerLostError") if "坏" in request["argument"] else None
    documents = list(ner.stream(["坏" if number == 64 else "马云" for number in range(192)]))
    codes = [document.error and document.error.code for document in documents]
    assert codes == [None] * 64 + ["worker_lost"] * 64 + [None] * 64


def test_unreadable_result_ends_the_stream(ner, worker):
    worker.behaviour = lambda request: success({"documents": [], "model": "m@0"})
    with pytest.raises(HannerError, match="1 texts were sent and 0 results"):
        list(ner.stream(["马云"]))


def test_timeout_ends_the_stream_and_revokes_the_rest(ner, server):
    with server.client.pubsub() as workers:
        workers.psubscribe("*pidbox")
        assert workers.get_message(timeout=60)["type"] == "psubscribe"
        with pytest.raises(TimedOut):
            list(ner.stream(numbered(200), timeout=0.1))
        assert workers.get_message(timeout=60)["type"] == "pmessage"
    assert ner._sender.connection.listener.subscribed_count == 0


@pytest.mark.parametrize("send", [lambda ner: list(ner.stream(["马云"])), lambda ner: ner.extract("马云")])
def test_request_whose_sending_is_interrupted_is_revoked(ner, server, monkeypatch, send):
    """Redis has the request already; the caller does not know its id."""
    publish = Publisher.publish

    def interrupted(self, message):
        publish(self, message)
        raise KeyboardInterrupt

    monkeypatch.setattr(Publisher, "publish", interrupted)
    with pytest.raises(KeyboardInterrupt):
        send(ner)
    (key,) = server.client.scan_iter("celery-task-meta-*")
    assert json.loads(server.client.get(key))["status"] == "REVOKED"


def test_stopped_consumer_unsubscribes_all_results(ner, worker):
    worker.behaviour = lambda request: worker.hold()  # only the first request is answered
    stream = ner.stream(numbered(), window=100)
    assert next(stream).entities
    stream.close()
    assert ner._sender.connection.listener.subscribed_count == 0


def test_texts_of_a_slow_source_are_sent_at_once(ner, worker):
    """Each text of a slow source is sent at once, and its result is yielded before the next text."""
    pause = threading.Event()

    def source():
        for number in range(3):
            pause.wait(0.1)  # never set
            yield f"{number}马云"

    for number, document in enumerate(ner.stream(source())):
        assert document.entities
        assert len(worker.requests) >= number + 1
    assert [len(request["argument"]) for request in worker.requests] == [1, 1, 1]


def test_unreachable_redis_raises():
    with Client("redis://127.0.0.1:1/0") as ner, pytest.raises(BrokerUnreachable):
        list(ner.stream(["马云"]))


def test_window_must_be_positive(ner):
    with pytest.raises(InvalidSettings, match="window must be at least 1"):
        ner.stream([], window=0)


def test_empty_source_yields_nothing(ner, server):
    assert list(ner.stream([])) == []
