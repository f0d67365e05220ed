"""Results as Celery's own backend would write them, and what becomes of a batch whose results cannot be written."""

from dataclasses import replace

import pytest
import redis
from celery import states
from celery.app.task import Context
from celery.exceptions import SoftTimeLimitExceeded

from hanner.contract import EXTRACT
from hanner.errors import InvalidText
from hanner.settings import Settings
from hanner.transport.celery_app import make_celery
from hanner_worker.delivery.results import PAUSES, NotStored, Record, ResultStore
from hanner_worker.execution.answers import TaskPayload
from hanner_worker.execution.batch import Batch, Ending, WorkerContext
from hanner_worker.execution.cache import Keys
from support.ledgers import hold, letters, make_ledger, nothing_is_held


@pytest.fixture
def app(server):
    app = make_celery(Settings(broker_url=server.url, result_ttl=77))
    yield app
    app.backend.client.close()
    app.close()


@pytest.fixture
def backend(app):
    return app.backend


@pytest.fixture
def ledger():
    return make_ledger()


@pytest.fixture
def store(backend, ledger):
    return ResultStore(backend, ledger)


@pytest.mark.filterwarnings("ignore:Call to deprecated setex")  # Celery's own
@pytest.mark.parametrize(
    "record",
    [
        Record("id", {"entities": [], "model": "m@1"}),
        Record("id", InvalidText("it is bad"), group="g", parent="p"),
        Record("id", {"documents": []}, parent="p"),
    ],
)
def test_a_result_is_what_celery_would_have_written(backend, ledger, store, record):
    (tag,) = hold(backend.client, ledger, "id")
    assert store.store([replace(record, tag=tag)]) == [True]
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


def test_who_waits_is_told(backend, ledger, store):
    subscriber = backend.client.pubsub()
    subscriber.subscribe("celery-task-meta-id")
    assert subscriber.get_message(timeout=1)["type"] == "subscribe"
    (tag,) = hold(backend.client, ledger, "id")
    store.store([Record("id", {"a": 1}, tag)])
    message = subscriber.get_message(timeout=1)
    assert backend.decode(message["data"])["result"] == {"a": 1}
    subscriber.close()


class Flaky:
    """A client whose scripts fail the first `times` times, before or `after` they ran; counts its round trips."""

    def __init__(self, client, times, error=redis.ConnectionError, *, after=False):
        self._client, self._times, self._error, self._after, self.trips = client, times, error, after, 0

    def evalsha(self, *args):
        self.trips += 1
        if self.trips > self._times:
            return self._client.evalsha(*args)
        if self._after:
            self._client.evalsha(*args)
        raise self._error("gone")

    def eval(self, *args):
        return self._client.eval(*args)

    def __getattr__(self, name):
        return getattr(self._client, name)


def test_a_batch_is_one_round_trip(backend, ledger, store):
    ids = [str(n) for n in range(50)]
    tags = hold(backend.client, ledger, *ids)
    store.store([])  # nothing to do is no round trip
    store.store([Record("0", 0, tags[0])])  # the script is known from here on
    real, backend.client = backend.client, Flaky(backend.client, 0)
    store.store([Record(n, n, tag) for n, tag in list(zip(ids, tags, strict=True))[1:]])
    assert backend.client.trips == 1
    assert len(real.keys("celery-task-meta-*")) == 50
    assert not real.keys("hanner:*:held:*")
    backend.client = real


@pytest.mark.parametrize("error", [redis.ConnectionError, redis.TimeoutError, redis.ResponseError, OSError])
def test_it_is_tried_again_for_a_while(backend, ledger, error):
    real, slept = backend.client, []
    tag, other = hold(real, ledger, "id", "other")
    backend.client = Flaky(real, 3, error)
    assert ResultStore(backend, ledger, slept.append).store([Record("id", {"a": 1}, tag)]) == [True]
    assert slept == list(PAUSES[:3])
    assert real.exists("celery-task-meta-id")
    backend.client = Flaky(real, 10**6, error)
    with pytest.raises(NotStored):
        ResultStore(backend, ledger, slept.append).store([Record("other", {"a": 1}, other)])
    backend.client = real


def test_a_reply_that_is_lost_does_not_make_an_answer_another_workers(backend, ledger, store):
    tag, other = hold(backend.client, ledger, "id", "other")
    store.store([Record("other", 1, other)])
    real, backend.client = backend.client, Flaky(backend.client, 1, after=True)
    assert ResultStore(backend, ledger, lambda _: None).store([Record("id", {"a": 1}, tag)]) == [True]
    backend.client = real


def test_what_another_worker_has_by_now_is_neither_stored_nor_acknowledged(backend, ledger, store):
    (tag,) = hold(backend.client, ledger, "id")
    other = make_ledger()
    ledger.put_back(backend.client)
    hold(backend.client, other)
    assert store.store([Record("id", "late", tag)]) == [False]
    assert not backend.client.exists("celery-task-meta-id")
    assert backend.client.hlen(other.keys.held(other.owner)) == 1


def test_the_first_answer_stays(backend, ledger, store):
    one, two = hold(backend.client, ledger, "id", "id")
    assert store.store([Record("id", "first", one)]) == [True]
    assert store.store([Record("id", "second", two)]) == [True]
    assert backend.get_result("id") == "first"
    assert nothing_is_held(backend.client)


def held(app, run, **options):
    class Model:
        def run(self, texts):
            return run(texts), None

    ledger = make_ledger()
    return WorkerContext(
        Model(), "m@1", 512, app, Settings(**options), Keys("d", "e", lowercase=True, half_width=True), ledger
    )


def batch(held_, *texts, store=None, ids=None, **options):
    """Take messages for these texts, and put them into a batch."""
    ids = ids or [str(n) for n, _ in enumerate(texts)]
    tags = hold(held_.app.backend.client, held_.ledger, *ids)
    works = [
        TaskPayload(id_, EXTRACT, [text], {}, tag=tag, **options)
        for id_, text, tag in zip(ids, texts, tags, strict=True)
    ]
    return Batch(held_, works, store)


def nothing(texts):
    return [[] for _ in texts]


def never(texts):
    pytest.fail(f"the model was run on {len(texts)} texts")


def endings(report):
    return [outcome.ending for outcome in report.outcomes]


def test_a_batch_reports_how_each_ended_and_no_text(app, backend):
    report = batch(held(app, nothing), "秘密", 7).run()
    assert endings(report) == [Ending.ANSWERED, Ending.FAILED]
    assert "秘密" not in repr(report)
    assert backend.get_state("0") == states.SUCCESS
    assert backend.get_state("1") == states.FAILURE
    assert nothing_is_held(backend.client)


def test_what_nobody_wants_is_not_stored(app, backend):
    report = batch(held(app, nothing), "甲", silent=True).run()
    assert endings(report) == [Ending.ANSWERED]
    assert nothing_is_held(backend.client)
    assert not backend.client.keys("celery-*")


def test_what_cannot_be_stored_has_no_end(app, backend):
    here = held(app, nothing)
    lost = batch(here, "甲", "乙", store=ResultStore(backend, here.ledger, lambda _: None))
    real, backend.client = backend.client, Flaky(backend.client, 10**6)
    assert endings(lost.run()) == [Ending.UNSTORED] * 2
    backend.client = real
    assert real.hlen(here.ledger.keys.held(here.ledger.owner)) == 2


@pytest.mark.filterwarnings("ignore:Call to deprecated setex")  # Celery's own
@pytest.mark.parametrize("state", [states.SUCCESS, states.FAILURE, states.REVOKED])
def test_what_is_answered_already_is_acknowledged_without_inference(app, backend, state):
    here = held(app, never)
    backend.store_result("0", ValueError("no") if state != states.SUCCESS else 1, state)
    before = backend.client.get("celery-task-meta-0")
    report = batch(here, "甲").run()
    assert endings(report) == [Ending.ANSWERED if state == states.SUCCESS else Ending.FAILED]
    assert backend.client.get("celery-task-meta-0") == before
    assert nothing_is_held(backend.client)


@pytest.mark.filterwarnings("ignore:Call to deprecated setex")  # Celery's own
def test_a_state_that_is_no_answer_gives_way(app, backend):
    backend.store_result("0", None, states.STARTED)
    assert endings(batch(held(app, nothing), "甲").run()) == [Ending.ANSWERED]
    assert backend.get_state("0") == states.SUCCESS


def test_what_another_worker_has_is_not_inferred(app, backend):
    here = held(app, never)
    late = batch(here, "甲", "乙")
    here.ledger.put_back(backend.client)
    assert endings(late.run()) == [Ending.LOST] * 2
    assert backend.client.llen("hanner") == 2


def test_what_another_worker_takes_during_the_run_is_not_stored(app, backend):
    def run(texts):
        here.ledger.put_back(backend.client)
        return nothing(texts)

    here = held(app, run)
    assert endings(batch(here, "甲").run()) == [Ending.LOST]
    assert not backend.client.exists("celery-task-meta-0")
    assert backend.client.llen("hanner") == 1


def test_a_text_that_the_model_fails_on_is_set_aside(app, backend):
    def run(texts):
        if "乙" in texts:
            raise ValueError
        return nothing(texts)

    here = held(app, run)
    report = batch(here, "甲", "乙", "丙", ids=["a", "b", "c"]).run()
    assert endings(report) == [Ending.ANSWERED, Ending.FAILED, Ending.ANSWERED]
    (letter,) = letters(backend.client, here.ledger.keys)
    assert {name: letter[name] for name in ("id", "task", "code", "deaths")} == {
        "id": "b",
        "task": EXTRACT,
        "code": "model_failed",
        "deaths": 0,
    }
    assert letter["message"] == "message of b"
    assert backend.client.zscore(here.ledger.keys.dead_index, "b") == letter["at"]
    assert type(backend.get_result("b")).__name__ == "ModelFailed"


def test_a_soft_time_limit_ends_a_lone_request_and_repeats_those_in_company(app, backend):
    def run(texts):
        raise SoftTimeLimitExceeded

    here = held(app, run)
    assert endings(batch(here, "甲", "乙").run()) == [Ending.OUT_OF_TIME] * 2
    assert not backend.client.keys("celery-*")
    assert endings(batch(here, "甲").run()) == [Ending.FAILED]
    assert type(backend.get_result("0")).__name__ == "SoftTimeLimitExceeded"


def test_with_a_cache_a_text_is_inferred_once_and_its_entry_is_written_after_the_results(app, backend):
    ran = []

    def run(texts):
        ran.append(texts)
        return nothing(texts)

    here = held(app, run, cache_ttl=60)
    first = batch(here, "甲", "甲", "乙").run()
    second = batch(here, "乙", "丙", ids=["3", "4"]).run()
    assert ran == [["甲", "乙"], ["丙"]]
    assert (first.figures["repeated"], first.figures["cached"]) == (1, 0)
    assert (second.figures["repeated"], second.figures["cached"]) == (0, 1)
    assert len(backend.client.keys("hanner:cache:*")) == 3


def test_without_one_nothing_is_kept(app, backend):
    batch(held(app, nothing), "甲").run()
    assert not backend.client.keys("hanner:cache:*")
