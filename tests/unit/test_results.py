"""Results as Celery's own backend would write them, and what becomes of a batch whose results cannot be written."""

import fakeredis
import pytest
import redis
from celery import states
from celery.app.task import Context
from celery.exceptions import SoftTimeLimitExceeded

from nerq.broker import make_celery
from nerq.contract import EXTRACT
from nerq.errors import InvalidText
from nerq.settings import Settings
from nerq_worker.batching.answers import Work
from nerq_worker.batching.job import Batch, Ending, Held
from nerq_worker.cache import Keys
from nerq_worker.results import PAUSES, NotStored, Record, ResultStore


@pytest.fixture
def app():
    app = make_celery(Settings(result_ttl=77))
    client = app.backend.client = fakeredis.FakeRedis()
    yield app
    client.close()
    app.close()


@pytest.fixture
def backend(app):
    return app.backend


@pytest.mark.filterwarnings("ignore:Call to deprecated setex")  # Celery's own
@pytest.mark.parametrize(
    "record",
    [
        Record("id", {"entities": [], "model": "m@1"}),
        Record("id", InvalidText("it is bad"), group="g", parent="p"),
        Record("id", {"documents": []}, parent="p"),
    ],
)
def test_a_result_is_what_celery_would_have_written(backend, record):
    ResultStore(backend).store([record])
    ours = backend.get_task_meta("id", cache=False)
    assert 70 < backend.client.ttl("celery-task-meta-id") <= 77
    backend.client.flushall()
    context = Context(id="id", group=record.group, parent_id=record.parent)
    backend.store_result("id", record.result, record.state, request=context)
    theirs = backend.get_task_meta("id", cache=False)
    assert 70 < backend.client.ttl("celery-task-meta-id") <= 77
    assert ours.keys() == theirs.keys()
    for key in ours.keys() - {"date_done", "result"}:
        assert ours[key] == theirs[key]
    assert (type(ours["result"]), str(ours["result"])) == (type(theirs["result"]), str(theirs["result"]))
    assert ours["status"] == (states.FAILURE if isinstance(record.result, Exception) else states.SUCCESS)


def test_who_waits_is_told(backend):
    subscriber = backend.client.pubsub()
    subscriber.subscribe("celery-task-meta-id")
    assert subscriber.get_message(timeout=1)["type"] == "subscribe"
    ResultStore(backend).store([Record("id", {"a": 1})])
    message = subscriber.get_message(timeout=1)
    assert backend.decode(message["data"])["result"] == {"a": 1}
    subscriber.close()


class Flaky:
    """A client whose pipelines fail the first `times` times; counts its round trips."""

    def __init__(self, client, times, error=redis.ConnectionError):
        self._client, self._times, self._error, self.trips = client, times, error, 0

    def pipeline(self, **options):
        pipe = self._client.pipeline(**options)
        execute = pipe.execute

        def flaky():
            self.trips += 1
            if self.trips <= self._times:
                raise self._error("gone")
            return execute()

        pipe.execute = flaky
        return pipe


def test_a_batch_is_one_round_trip(backend):
    real, backend.client = backend.client, Flaky(backend.client, 0)
    ResultStore(backend).store([Record(str(n), {"n": n}) for n in range(50)])
    assert backend.client.trips == 1
    assert len(real.keys("celery-task-meta-*")) == 50
    backend.client = real


@pytest.mark.parametrize("error", [redis.ConnectionError, redis.TimeoutError, redis.ResponseError, OSError])
def test_it_is_tried_again_for_a_while(backend, error):
    real, slept = backend.client, []
    backend.client = Flaky(real, 3, error)
    ResultStore(backend, slept.append).store([Record("id", {"a": 1})])
    assert slept == list(PAUSES[:3])
    assert real.exists("celery-task-meta-id")
    backend.client = Flaky(real, 10**6, error)
    with pytest.raises(NotStored):
        ResultStore(backend, slept.append).store([Record("id", {"a": 1})])
    backend.client = real


def held(app, run, **options):
    class Model:
        def run(self, texts):
            return run(texts), None

    return Held(Model(), "m@1", 512, app, Settings(**options), Keys("d", "e", lowercase=True, half_width=True))


def works(*texts, **options):
    return [Work(str(n), EXTRACT, [text], {}, **options) for n, text in enumerate(texts)]


def endings(report):
    return [outcome.ending for outcome in report.outcomes]


def test_a_batch_reports_how_each_ended_and_no_text(app, backend):
    report = Batch(held(app, lambda texts: [[] for _ in texts]), works("秘密", 7)).run()
    assert endings(report) == [Ending.ANSWERED, Ending.FAILED]
    assert "秘密" not in repr(report)
    assert backend.get_state("0") == states.SUCCESS
    assert backend.get_state("1") == states.FAILURE


def test_what_nobody_wants_is_not_stored(app, backend):
    report = Batch(held(app, lambda texts: [[] for _ in texts]), works("甲", silent=True)).run()
    assert endings(report) == [Ending.ANSWERED]
    assert not backend.client.keys("*")


def test_what_cannot_be_stored_has_no_end(app, backend):
    real, backend.client = backend.client, Flaky(backend.client, 10**6)
    store = ResultStore(backend, lambda _: None)
    report = Batch(held(app, lambda texts: [[] for _ in texts]), works("甲", "乙"), store).run()
    assert endings(report) == [Ending.UNSTORED] * 2
    backend.client = real


def test_a_soft_time_limit_ends_a_lone_request_and_repeats_those_in_company(app, backend):
    def run(texts):
        raise SoftTimeLimitExceeded

    assert endings(Batch(held(app, run), works("甲", "乙")).run()) == [Ending.OUT_OF_TIME] * 2
    assert not backend.client.keys("*")
    assert endings(Batch(held(app, run), works("甲")).run()) == [Ending.FAILED]
    assert type(backend.get_result("0")).__name__ == "SoftTimeLimitExceeded"


def test_with_a_cache_a_text_is_inferred_once_and_its_entry_is_written_after_the_results(app, backend):
    ran = []

    def run(texts):
        ran.append(texts)
        return [[] for _ in texts]

    first = Batch(held(app, run, cache_ttl=60), works("甲", "甲", "乙")).run()
    second = Batch(held(app, run, cache_ttl=60), works("乙", "丙")).run()
    assert ran == [["甲", "乙"], ["丙"]]
    assert (first.figures["repeated"], first.figures["cached"]) == (1, 0)
    assert (second.figures["repeated"], second.figures["cached"]) == (0, 1)
    assert len(backend.client.keys("nerq-cache-*")) == 3


def test_without_one_nothing_is_kept(app, backend):
    Batch(held(app, lambda texts: [[] for _ in texts]), works("甲")).run()
    assert not backend.client.keys("nerq-cache-*")
