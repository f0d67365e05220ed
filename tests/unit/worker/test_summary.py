"""The log line about the batches of a minute."""

import logging
from types import SimpleNamespace

import pytest

from hanner_worker.delivery.inflight import Outcome
from hanner_worker.execution.batch import RequestResult
from hanner_worker.observability.hooks import BatchRecord
from hanner_worker.observability.summary import LogSummary
from support.waiting import wait_until


def record(*texts, outcome=Outcome.OK, waits=None, runtime=0.5, **more):
    requests = [SimpleNamespace(size=SimpleNamespace(texts=count)) for count in texts]
    results = () if more.get("loss") else [RequestResult(outcome)] * len(texts)
    stats = {} if more.get("loss") else {"tokens": 90, "padded_tokens": 100}
    return BatchRecord(1, requests, 1000.0, waits or [0.1] * len(texts), runtime, results, stats, **more)


@pytest.fixture(autouse=True)
def level(caplog):
    caplog.set_level(logging.INFO, logger="hanner_worker")


def test_batches_are_summed_in_one_line(caplog):
    summary = LogSummary(interval=60.0)
    summary.start()
    summary.on_batch(record(1, 3))
    summary.on_batch(record(1, outcome=Outcome.FAILED, waits=[0.25], runtime=1.5))
    summary.on_batch(record(1, loss="process_died"))
    assert not caplog.messages
    summary.stop()
    expected = (
        "in up to 60 s: 4 requests with 6 texts in 3 batches, 180 tokens and 20 of padding, waited up to 250.0 ms, "
        "took up to 1500.0 ms; 1 requests failed, 1 batches lost"
    )
    assert caplog.messages == [expected]


def test_each_interval_with_batches_has_a_line_and_the_others_none(caplog):
    summary = LogSummary(interval=0.01)
    summary.start()
    for number in (1, 2):
        summary.on_batch(record(1))
        wait_until(lambda number=number: len(caplog.messages) == number)
    summary.stop()
    assert all(": 1 requests with 1 texts in 1 batches" in message for message in caplog.messages)


def test_worker_that_never_started_stops(caplog):
    LogSummary().stop()
    assert not caplog.messages
