"""The dispatcher notifies every observer, and ends requests by their outcomes."""

import gc
import weakref
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from hanner.errors import WorkerLost
from hanner.settings import Settings
from hanner.utils.clock import RedisClock
from hanner_inference.pipeline import RunStats
from hanner_worker.batching.dispatcher import BatchRun, Dispatcher, _first_cost
from hanner_worker.batching.scheduler import Size
from hanner_worker.delivery.inflight import Completion, Outcome
from hanner_worker.execution.batch import BatchReport, RequestResult
from hanner_worker.observability.hooks import Observer
from hanner_worker.observability.throughput import Throughput
from hanner_worker.payload import TaskPayload
from hanner_worker.shared_flag import SharedFlag

REQUEST = TaskPayload("id", "hanner.extract", ["text"], {})


class RecordingObserver(Observer):
    def __init__(self):
        self.calls = []

    def on_batch(self, record):
        self.calls.append(record)

    def on_completed(self, completions):
        self.calls.append(completions)

    def on_requeue(self, reason, requests):
        self.calls.append((reason, requests))


class FakeInFlight:
    worker_id = "me"

    def __init__(self):
        self.outcome = Outcome.FAILED
        self.clock = RedisClock()

    def complete(self, backend, completions, done):
        return [self.outcome] * len(completions)


class FakeRequest:
    time_limits, arrived, caller, cancelled, tags = None, 0.0, None, False, ["tag"]
    bulk, progress = False, b""
    task = SimpleNamespace(time_limit=None, soft_time_limit=None)
    size = SimpleNamespace(texts=1, characters=2, tokens=4)

    def __init__(self, request_id):
        self.id = request_id
        self.calls = []

    def assign_batch(self, *args):
        pass

    def __getattr__(self, name):
        return lambda *args: self.calls.append(name)


@pytest.fixture
def observers():
    return [RecordingObserver(), RecordingObserver()]


@pytest.fixture
def inflight():
    return FakeInFlight()


@pytest.fixture
def dispatcher(observers, inflight):
    channel = SimpleNamespace(qos=SimpleNamespace(reject=lambda tag, requeue: None))
    consumer = SimpleNamespace(
        hanner_observers=observers,
        hanner_throughput=Throughput(0.0),
        connection=SimpleNamespace(default_channel=channel),
        event_dispatcher=None,
        hub=SimpleNamespace(call_soon=lambda _: None),
        blueprint=SimpleNamespace(state=None),
        pool=SimpleNamespace(num_processes=1, active=True),
    )
    context = SimpleNamespace(
        settings=Settings(),
        inflight=inflight,
        app=SimpleNamespace(backend=None, now=lambda: datetime(2026, 1, 1, tzinfo=UTC)),
        model="m@00000000",
        recogniser=object(),
        interactive_waits=SharedFlag(),
    )
    return Dispatcher(consumer, context)


def test_work_in_seconds_counts_queued_and_running_requests_by_priority(dispatcher):
    assert dispatcher.work_seconds() == {False: 0.0, True: 0.0}
    for key, tokens, bulk in (("a", 100, False), ("b", 300, False), ("c", 1000, True)):
        dispatcher._requests[key] = SimpleNamespace(bulk=bulk, size=Size(1, 1, tokens))
    cost = dispatcher._cost
    assert dispatcher.work_seconds() == {
        False: cost.per_batch + 400 * cost.per_token,
        True: cost.per_batch + 1000 * cost.per_token,
    }


def test_the_cost_of_a_text_is_without_the_overhead_of_its_batch(dispatcher):
    cost = dispatcher._cost
    dispatcher.record_throughput(1, 5.0, cost.per_batch + 0.004, bulk=False)
    assert dispatcher._consumer.hanner_throughput.snapshot(0.0)["text_seconds"] == pytest.approx(0.004, abs=1e-5)


def test_every_observer_is_notified(dispatcher, observers):
    completion = Completion(REQUEST, Outcome.FAILED, WorkerLost())
    assert dispatcher.complete(completion) is Outcome.FAILED
    dispatcher.requeue(["a", "b"])
    dispatcher.notify_batch("record")
    assert [observer.calls for observer in observers] == [[[completion], ("connection_lost", 2), "record"]] * 2


@pytest.mark.parametrize("outcome", [Outcome.FENCED, Outcome.NOT_STORED])
def test_a_request_that_has_not_ended_is_not_counted(dispatcher, observers, inflight, outcome):
    inflight.outcome = outcome
    assert dispatcher.complete(Completion(REQUEST, Outcome.FAILED, WorkerLost())) is outcome
    assert observers[0].calls == []


@pytest.mark.parametrize(
    ("result", "calls"),
    [
        (RequestResult(Outcome.OK, "summary"), ["mark_acknowledged", "succeeded"]),
        (RequestResult(Outcome.FAILED, "summary", "invalid_text"), ["mark_acknowledged", "failed"]),
        (RequestResult(Outcome.ALREADY_ANSWERED, "answered before"), ["mark_acknowledged", "ended_before"]),
        (RequestResult(Outcome.ALREADY_ANSWERED, "answered before", "REVOKED"), ["mark_acknowledged", "ended_before"]),
        (RequestResult(Outcome.NOT_STORED), ["requeue"]),
    ],
)
def test_a_request_ends_by_its_outcome(dispatcher, observers, result, calls):
    request = FakeRequest("id")
    run = BatchRun(dispatcher, 1, [request], 1.0)
    run._on_report(BatchReport([result], 0.5, {}))
    assert request.calls == calls
    assert observers[0].calls[0].results == [result]


def test_the_requests_of_a_finished_batch_are_freed_at_once(dispatcher):
    class Job:
        def __init__(self, *_args, **callbacks):
            self.callbacks = callbacks

    gc.disable()  # the collector counts objects and not their size, so it runs too seldom for large texts
    try:
        request = FakeRequest("id")
        freed = weakref.ref(request)
        run = BatchRun(dispatcher, 1, [request], 1.0)
        pool = SimpleNamespace(apply_async=Job)
        assert run.start(pool, "worker", b"", 0)
        run._on_report(BatchReport([RequestResult(Outcome.OK)], 0.5, {}))
        dispatcher._observers[0].calls.clear()
        dispatcher._observers[1].calls.clear()
        del request, run
        assert freed() is None
    finally:
        gc.enable()


def test_the_first_batches_are_sized_by_the_text_that_the_model_ran_after_loading():
    assert _first_cost(SimpleNamespace(warm_up=RunStats(tokens=17, infer=0.01))).tokens(0.05) < 500
    assert _first_cost(SimpleNamespace(warm_up=RunStats(tokens=17, infer=0.001))).tokens(0.05) > 2000
    assert _first_cost(SimpleNamespace(warm_up=None)).per_token == _first_cost(object()).per_token > 0


def test_the_cost_of_a_batch_that_the_model_ran_is_learned(dispatcher):
    before = dispatcher._cost.per_token
    request = FakeRequest("id")
    request.size = SimpleNamespace(texts=1, characters=998, tokens=1000)
    BatchRun(dispatcher, 1, [request], 1.0)._on_report(BatchReport([RequestResult(Outcome.OK)], 0.5, {}))
    assert dispatcher._cost.per_token == before  # the result was stored before
    BatchRun(dispatcher, 2, [request], 1.0)._on_report(BatchReport([RequestResult(Outcome.OK)], 0.5, {"tokens": 900}))
    assert dispatcher._cost.tokens(0.5) == pytest.approx(1000, rel=0.1)


def test_interrupted_requests_continue_later_and_are_not_recorded(dispatcher, observers):
    resumed = []
    dispatcher.resume = lambda request, progress: resumed.append((request.id, progress))
    ended, interrupted = FakeRequest("ended"), FakeRequest("interrupted")
    interrupted.progress = b"found"
    results = [RequestResult(Outcome.OK), RequestResult(Outcome.INTERRUPTED, progress=b"found")]
    before = dispatcher._cost.per_token
    dispatcher._requests = {request.id: request for request in (ended, interrupted)}
    BatchRun(dispatcher, 1, [ended, interrupted], 1.0)._on_report(BatchReport(results, 0.5, {"tokens": 9}))
    assert resumed == [("interrupted", b"found")]
    assert list(dispatcher._requests) == ["interrupted"]
    assert interrupted.calls == []
    (record,) = observers[0].calls
    assert (record.requests, record.results, record.interrupted) == ([ended], results[:1], 1)
    assert dispatcher._cost.per_token == before


def test_the_record_of_a_batch_that_was_interrupted_before_any_end_is_empty(dispatcher, observers):
    dispatcher.resume = lambda request, progress: None
    results = [RequestResult(Outcome.INTERRUPTED, progress=b"x")]
    BatchRun(dispatcher, 1, [FakeRequest("id")], 1.0)._on_report(BatchReport(results, 0.5, {}))
    (record,) = observers[0].calls
    assert (record.requests, record.total_waits(), record.interrupted) == ([], [], 1)
