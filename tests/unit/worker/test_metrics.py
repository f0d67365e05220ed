"""The metrics of batches and requests, and the histogram that observes many values per call."""

import math
from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram

from hanner.errors import InvalidText, QueueFull, WorkerLost
from hanner_worker.delivery.inflight import Completion, Outcome
from hanner_worker.execution.batch import RequestResult
from hanner_worker.observability.hooks import BatchRecord
from hanner_worker.observability.metrics import (
    DEAD_LETTER_CODES,
    OUTCOMES,
    REDELIVERY_REASONS,
    BatchHistogram,
    MetricsObserver,
)

BOUNDS = (0.5, 1.0, 2.0)


@given(st.lists(st.lists(st.floats(0, 3) | st.sampled_from(BOUNDS))))
def test_a_batch_histogram_equals_the_histogram_of_prometheus_client(batches):
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    histogram = Histogram("x", "x", buckets=BOUNDS, registry=theirs)
    batch_histogram = BatchHistogram("x", "x", BOUNDS, ours)
    for batch in batches:
        batch_histogram.observe(batch)
        for value in batch:
            histogram.observe(value)
    for sample in next(iter(theirs.collect())).samples:
        if sample.name != "x_created":
            value = ours.get_sample_value(sample.name, sample.labels)
            assert math.isclose(value, sample.value, abs_tol=1e-9), sample


def request(sent_at=None, texts=1):
    return SimpleNamespace(sent_at=sent_at, size=SimpleNamespace(texts=texts, characters=10 * texts))


def values_after(*records):
    registry = CollectorRegistry()
    observer = MetricsObserver(registry)
    for record in records:
        observer.on_batch(record)
    return lambda name, **labels: registry.get_sample_value(f"hanner_worker_{name}", labels)


def batch_record(requests, outcomes, *, waits=None, **more):
    return BatchRecord(1, requests, 1000.0, waits or [0.25] * len(requests), 0.5, outcomes, **more)


def test_a_wait_starts_at_the_time_of_sending_if_that_time_is_valid():
    nan = float("nan")
    sent = [990.0, None, 1001.0, 999.9, nan, -5.0, 0.0, float("inf")]
    value = values_after(batch_record([request(at) for at in sent], [RequestResult(Outcome.OK)] * len(sent)))
    assert value("queue_wait_seconds_count") == len(sent)
    assert value("queue_wait_seconds_sum") == 10 + 0.25 * (len(sent) - 1)
    assert value("request_duration_seconds_sum") == value("queue_wait_seconds_sum") + 0.5 * len(sent)


def test_interrupted_requests_are_counted():
    value = values_after(batch_record([request()], [RequestResult(Outcome.OK)], interrupted=3), batch_record([], []))
    assert value("requests_interrupted_total") == 3
    assert value("texts_total") == 1


def test_each_outcome_is_counted():
    ends = [
        RequestResult(Outcome.OK),
        RequestResult(Outcome.FAILED, code="model_failed"),
        RequestResult(Outcome.FAILED, code="internal_error"),
        RequestResult(Outcome.ALREADY_ANSWERED),
        RequestResult(Outcome.ALREADY_ANSWERED, code="FAILURE"),
        RequestResult(Outcome.NOT_STORED),
        RequestResult(Outcome.RETRY_ISOLATED),
        RequestResult(Outcome.FENCED),
    ]
    value = values_after(batch_record([request() for _ in ends], ends))
    counts = {name: value("requests_total", outcome=str(name)) for name in OUTCOMES}
    wanted = {"ok": 1, "model_failed": 1, "internal_error": 1, "answered_before": 2}
    assert {name: count for name, count in counts.items() if count} == wanted
    retried = {name: value("redeliveries_total", reason=name) for name in REDELIVERY_REASONS}
    assert {name: count for name, count in retried.items() if count} == {"not_stored": 1, "time_limit": 1}
    assert value("dead_letters_total", code="model_failed") == 1


def failed(error, letter=None):
    return Completion(None, Outcome.FAILED, error, letter)


def test_requests_completed_by_the_parent_are_counted_by_error_code():
    registry = CollectorRegistry()
    observer = MetricsObserver(registry)
    letter = {"id": "a"}
    observer.on_completed([failed(WorkerLost(), letter), failed(InvalidText("no"))])
    observer.on_completed([failed(QueueFull(), letter), failed(ValueError())])  # neither happens
    counts = {
        (name, label): registry.get_sample_value(f"hanner_worker_{name}_total", {key: label})
        for name, key, labels in (("requests", "outcome", OUTCOMES), ("dead_letters", "code", DEAD_LETTER_CODES))
        for label in map(str, labels)
    }
    assert {pair: count for pair, count in counts.items() if count} == {
        ("requests", "worker_lost"): 1,
        ("requests", "invalid_text"): 1,
        ("requests", "internal_error"): 2,
        ("dead_letters", "worker_lost"): 1,
        ("dead_letters", "internal_error"): 1,
    }


def test_deleted_dead_letters_are_counted_by_limit():
    registry = CollectorRegistry()
    observer = MetricsObserver(registry)
    observer.on_dead_letters_deleted("age", 2)
    observer.on_dead_letters_deleted("count", 3)
    name = "hanner_worker_dead_letters_deleted_total"
    assert [registry.get_sample_value(name, {"limit": limit}) for limit in ("age", "count")] == [2, 3]


def test_a_lost_batch_is_counted_only_as_lost():
    value = values_after(batch_record([request(), request()], [], loss="process_died", retried=2))
    assert value("batches_lost_total", reason="process_died") == 1
    assert value("redeliveries_total", reason="process_died") == 2
    assert value("texts_total") == value("batch_texts_count") == value("queue_wait_seconds_count") == 0


def test_requests_of_a_lost_batch_whose_results_are_stored_are_counted():
    value = values_after(batch_record([request(), request()], [], loss="process_died", retried=1, answered=1))
    assert value("requests_total", outcome="answered_before") == 1


def test_a_batch_of_cached_texts_has_no_padding_and_no_stages():
    cached = batch_record([request(texts=3)], [RequestResult(Outcome.OK)], stats={"cached": 3})
    ran = {"tokens": 90, "padded_tokens": 100, "windows": 2, "tokenise": 0.1, "infer": 0.2, "decode": 0.3, "failed": 1}
    value = values_after(cached, batch_record([request(texts=2)], [RequestResult(Outcome.OK)], stats=ran))
    assert (value("cache_hits_total"), value("texts_total"), value("texts_failed_total")) == (3, 5, 1)
    assert value("text_characters_total") == 50
    assert (value("tokens_total"), value("padding_tokens_total")) == (90, 10)
    assert value("batch_padding_ratio_count") == 1
    assert math.isclose(value("batch_padding_ratio_sum"), 0.1)
    assert value("batch_tokens_count") == value("batch_texts_count") == 2
    assert [value("stage_duration_seconds_sum", stage=stage) for stage in ("tokenise", "infer", "decode")] == [
        0.1, 0.2, 0.3,
    ]  # fmt: skip
