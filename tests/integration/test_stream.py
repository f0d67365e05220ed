"""Streaming against a real server and a stub of a worker."""

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from hanner import BrokerUnreachable, Client, HannerError, InvalidSettings, TimedOut
from support.stub_worker import StubWorker, failed, success


def numbered(count=None):
    """Texts whose number is where 马云 starts, modulo 50."""
    numbers = itertools.count() if count is None else range(count)
    return ("字" * (number % 50) + "马云" for number in numbers)


def starts(documents):
    return [document.entities[0].start for document in documents]


def test_order_is_kept(ner, worker):
    assert starts(ner.stream(numbered(1000))) == [number % 50 for number in range(1000)]


@pytest.mark.parametrize("window", [1, 2, 3, 7, 64, 5000])
def test_any_window_gives_the_same(ner, worker, window):
    assert starts(ner.stream(numbered(200), window=window)) == [number % 50 for number in range(200)]


@pytest.mark.parametrize("window", [1, 10, 300])
def test_no_more_than_the_window_is_taken_from_an_endless_source(ner, worker, window):
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


def test_outstanding_requests_hold_no_more_than_the_window(server):
    with Client(server.url, timeout=10) as ner, StubWorker(server.url) as worker, ThreadPoolExecutor(1) as threads:
        worker.hold()
        result = threads.submit(lambda: sum(1 for _ in ner.stream(numbered(2000), window=100)))
        requests = worker.wait_for(4)
        assert sum(len(request["argument"]) for request in requests) == 100
        assert server.client.llen("hanner") == 0  # and the source waits
        worker.release()
        assert result.result(20) == 2000


def test_long_texts_travel_in_smaller_requests(ner, worker):
    list(ner.stream(["字" * 20_000] * 8))
    assert max(len(request["argument"]) for request in worker.requests) == 2


def test_an_invalid_text_does_not_end_the_stream(ner, worker):
    documents = list(ner.stream(["马云", None, "\ud800", "字" * 100_001, "马云"]))
    assert [document.error and document.error.code for document in documents] == [
        None,
        "invalid_text",
        "invalid_text",
        "invalid_text",
        None,
    ]
    assert worker.requests[0]["argument"] == ["马云", "马云"]


def test_invalid_texts_alone_are_answered_here(ner, server):
    assert [document.error.code for document in ner.stream([None] * 100)] == ["invalid_text"] * 100
    assert server.client.llen("hanner") == 0


def test_a_request_that_failed_gives_its_texts_the_error(ner, worker):
    worker.behaviour = lambda request: failed("WorkerLostError") if "坏" in request["argument"] else None
    documents = list(ner.stream(["坏" if number == 64 else "马云" for number in range(192)]))
    codes = [document.error and document.error.code for document in documents]
    assert codes == [None] * 64 + ["worker_lost"] * 64 + [None] * 64


def test_an_answer_that_makes_no_sense_ends_the_stream(ner, worker):
    worker.behaviour = lambda request: success({"documents": [], "model": "m@0"})
    with pytest.raises(HannerError, match="1 texts were sent and 0 results"):
        list(ner.stream(["马云"]))


def test_no_answer_in_time_ends_the_stream_and_revokes_the_rest(ner, server):
    with server.client.pubsub() as workers:
        workers.psubscribe("*pidbox")
        assert workers.get_message(timeout=5)["type"] == "psubscribe"
        with pytest.raises(TimedOut):
            list(ner.stream(numbered(200), timeout=0.1))
        assert workers.get_message(timeout=5)["type"] == "pmessage"
    assert ner._sender.connection.listener.subscribed_count == 0


def test_a_consumer_that_stops_leaves_nothing_awaited(ner, worker):
    worker.behaviour = lambda request: worker.hold()  # the first request is answered, no other
    stream = ner.stream(numbered(), window=100)
    assert next(stream).entities
    stream.close()
    assert ner._sender.connection.listener.subscribed_count == 0


def test_a_slow_source_is_not_waited_for(ner, worker):
    """A source that takes its time has each text sent at once, and gets the answer before it gives the next."""
    pause = threading.Event()

    def source():
        for number in range(3):
            pause.wait(0.1)  # nobody sets it
            yield f"{number}马云"

    for number, document in enumerate(ner.stream(source())):
        assert document.entities
        assert len(worker.requests) >= number + 1
    assert [len(request["argument"]) for request in worker.requests] == [1, 1, 1]


def test_trouble_with_redis_raises():
    with Client("redis://127.0.0.1:1/0") as ner, pytest.raises(BrokerUnreachable):
        list(ner.stream(["马云"]))


def test_a_window_must_be_positive(ner):
    with pytest.raises(InvalidSettings, match="window must be at least 1"):
        ner.stream([], window=0)


def test_an_empty_source_gives_nothing(ner, server):
    assert list(ner.stream([])) == []
