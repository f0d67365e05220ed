"""The blocking client with a real server and a stub worker."""

import base64
import json
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from hanner import (
    AsyncClient,
    BrokerUnreachable,
    Client,
    Expired,
    HannerError,
    InvalidSettings,
    InvalidText,
    ModelFailed,
    Revoked,
    TimedOut,
    UnknownModel,
    WorkerLost,
)
from support.stub_worker import decoded, failed, store, success
from support.waiting import wait_until

TEXT = "昨天马云在杭州"


def test_extract_returns_entities(ner, worker):
    (entity,) = ner.extract(TEXT)
    assert (entity.text, entity.type, entity.start, entity.end) == ("马云", "PER", 2, 4)


def test_extract_many_keeps_order_and_reports_invalid_texts(ner, worker):
    documents = ner.extract_many([TEXT, "\ud800", "没有", 5])
    assert [len(document.entities) for document in documents] == [1, 0, 0, 0]
    assert [document.error and document.error.code for document in documents] == [
        None,
        "invalid_text",
        None,
        "invalid_text",
    ]
    assert worker.requests[0]["argument"] == [TEXT, "没有"]


def test_every_method_selects_entities(ner, worker):
    for options, count in (
        ({"types": ["LOC"]}, 0),
        ({"min_score": 0.95}, 0),
        ({"types": ["PER"], "min_score": 0.9}, 1),
    ):
        assert len(ner.extract(TEXT, **options)) == len(ner.submit(TEXT, **options).result()) == count
        for documents in (
            ner.extract_many([TEXT], **options),
            ner.submit_many([TEXT], **options).result(),
            ner.stream([TEXT], **options),
        ):
            assert [len(document.entities) for document in documents] == [count]
        with pytest.raises(InvalidSettings, match="types must be a list"):
            ner.stream([TEXT], types="PER")


def test_extract_many_sends_nothing_if_all_texts_are_invalid(ner, server):
    assert ner.extract_many([5])[0].error.code == "invalid_text"
    assert server.client.llen("hanner") == 0


def test_submit_does_not_wait_for_the_result(ner, worker):
    worker.hold()
    job = ner.submit(TEXT)
    assert not job.done()
    with pytest.raises(TimedOut, match=r"no result came within 0\.1 s"):
        job.result(timeout=0.1)
    worker.release()
    assert job.result()[0].text == "马云"
    assert job.done()
    assert job.result() == job.result()


def test_job_can_be_found_by_its_id(ner, worker, server):
    one, many = ner.submit(TEXT), ner.submit_many([TEXT, TEXT])
    with Client(server.url, timeout=60) as other:
        assert other.job(one.id).result()[0].text == "马云"
        assert len(other.job(many.id, many=True).result()) == 2


def test_wrong_kind_of_job_is_an_error(ner, worker):
    job = ner.submit(TEXT)
    with pytest.raises(HannerError, match="belongs to another task"):
        ner.job(job.id, many=True).result()


def test_messages_are_those_of_a_celery_app(ner, server):
    job = ner.submit(TEXT, expires=60)
    many = ner.submit_many([TEXT, "没有"])
    first, second = (decoded(server.client.lindex(name, 0)) for name in ("hanner", "hanner.bulk"))
    assert (first["id"], first["task"], first["argument"]) == (job.id, "hanner.extract", TEXT)
    assert first["headers"]["expires"]
    assert (second["id"], second["task"], second["argument"]) == (many.id, "hanner.extract_many", [TEXT, "没有"])
    assert not first["headers"]["ignore_result"]


def test_texts_are_redacted_in_headers(ner, server):
    ner.submit(TEXT)
    headers = decoded(server.client.lindex("hanner", 0))["headers"]
    assert headers["argsrepr"] == "(<7 characters>)"
    assert "马云" not in str(headers)


def test_log_text_puts_texts_into_headers(server):
    with Client(server.url, log_text=True) as ner:
        ner.submit(TEXT)
    assert "马云" in decoded(server.client.lindex("hanner", 0))["headers"]["argsrepr"]


def test_finished_and_timed_out_requests_are_unsubscribed(ner, worker, server):
    for _ in range(3):
        ner.extract(TEXT)
    worker.hold()
    with pytest.raises(TimedOut):
        ner.extract(TEXT, timeout=0.05)
    assert ner._sender.connection.listener.subscribed_count == 0
    worker.release()
    ner.extract(TEXT)  # by now the listener has unsubscribed the earlier ids
    assert len(server.client.pubsub_channels("celery-task-meta-*")) <= 1


def test_no_connection_is_opened_before_the_first_call(server):
    before = server.client.info("clients")["connected_clients"]
    threads = threading.active_count()
    with Client(server.url):
        assert server.client.info("clients")["connected_clients"] == before
        assert threading.active_count() == threads


@pytest.mark.parametrize(
    ("meta", "error", "message"),
    [
        (failed("WorkerLostError"), WorkerLost, "died each time"),
        (failed("TimeLimitExceeded", "120"), TimedOut, "time limit"),
        (failed("TaskRevokedError", "revoked", status="REVOKED"), Revoked, "revoked"),
        (failed("TaskRevokedError", "expired", status="REVOKED"), Expired, "expired"),
        (failed("ModelFailed", "the model failed: shape", module="hanner.errors"), ModelFailed, "shape"),
        (failed("ValueError", "no luck", module="builtins"), ModelFailed, "ValueError: no luck"),
        (failed("NotRegistered", "hanner.extract"), HannerError, "does not know this task"),
        (success({"unexpected": 1}), HannerError, "cannot be read"),
        (success(None), HannerError, "cannot be read"),
        (b"{not json", HannerError, "not a Celery result"),
    ],
)
def test_stored_failures_become_named_errors(ner, worker, meta, error, message):
    worker.behaviour = lambda request: meta
    with pytest.raises(error, match=message) as caught:
        ner.extract(TEXT)
    assert isinstance(caught.value, HannerError)


def test_revoke_is_sent_to_every_worker(ner, server):
    with server.client.pubsub() as workers:
        workers.psubscribe("*pidbox")
        assert workers.get_message(timeout=60)["type"] == "psubscribe"
        job = ner.submit(TEXT)
        job.revoke()
        command = workers.get_message(timeout=60)["data"]
    assert '"method": "revoke"' in decoded_control(command)
    assert job.id in decoded_control(command)


def decoded_control(message):
    return base64.b64decode(json.loads(message)["body"]).decode()


def test_invalid_text_is_rejected_before_sending():
    with Client("redis://127.0.0.1:1/0") as ner:
        for text, message in (
            (5, "not int"),
            (["一"], "extract_many"),
            ("\udc00", "surrogate"),
            ("字" * 100_001, "100,001"),
        ):
            with pytest.raises(InvalidText, match=message):
                ner.extract(text)
        for texts, message in (("一", "list of strings"), ([], "empty"), (["一"] * 257, "257 texts")):
            with pytest.raises(InvalidText, match=message):
                ner.extract_many(texts)
        with pytest.raises(InvalidText, match="text 1: "):
            ner.submit_many(["一", None])
        with pytest.raises(BrokerUnreachable):
            ner.extract("一")


def test_many_threads_share_one_client(ner, worker, server):
    def one(number):
        text = "字" * number + TEXT
        return ner.extract(text)[0].start

    with ThreadPoolExecutor(64) as threads:
        assert list(threads.map(one, range(256))) == [number + 2 for number in range(256)]
    # Two sockets for results, two for each of four publishers, the stub's and the test's own.
    assert server.client.info("clients")["connected_clients"] <= 14


def test_unpublished_result_is_found_by_reading_again(ner, worker, server):
    worker.hold()
    job = ner.submit(TEXT)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(job.result)
        (request,) = worker.wait_for(1)
        wait_until_subscribed(server, request["id"])
        store(server.client, request["id"], success({"entities": [], "model": "m@0"}), announce=False)
        assert waiting.result(60) == []


def wait_until_subscribed(server, task_id):
    """Wait for the listener's subscription by polling Redis."""
    for _ in range(10_000):
        if server.client.pubsub_numsub(f"celery-task-meta-{task_id}")[0][1]:
            return
    raise AssertionError("no subscription")


def test_close_fails_waiting_calls(server):
    ner = Client(server.url)
    job = ner.submit(TEXT)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(job.result, None)
        wait_until_subscribed(server, job.id)
        ner.close()
        with pytest.raises(HannerError, match="closed"):
            waiting.result(60)
    ner.close()
    for call in (lambda: ner.submit(TEXT), job.result, job.done, job.revoke):
        with pytest.raises(HannerError, match="closed"):
            call()
    wait_until(lambda: not [thread for thread in threading.enumerate() if thread.name == "hanner-results"])


@pytest.mark.parametrize("model", [5, ["news"], b"news", True])
def test_model_that_is_not_a_string_is_reported(ner, model):
    for call in (ner.extract, ner.submit):
        with pytest.raises(
            UnknownModel, match=r"^model must be a string, the name of a model, not (int|list|bytes|bool)$"
        ):
            call("一", model=model)
    with pytest.raises(UnknownModel, match="model must be a string"):
        ner.backlog(model)


@pytest.mark.parametrize("seconds", ["5", True, [1], float("nan")])
def test_seconds_that_are_not_a_number_are_reported(ner, worker, seconds):
    with pytest.raises(InvalidSettings, match=r"^timeout must be a number of seconds, or None for no limit, not "):
        ner.extract("一", timeout=seconds)
    with pytest.raises(InvalidSettings, match=r"^expires must be a number of seconds"):
        ner.submit("一", expires=seconds)
    with pytest.raises(InvalidSettings, match=r"^timeout must be a number"):
        ner.submit("一").result(timeout=seconds)
    with pytest.raises(InvalidSettings, match=r"^timeout must be a number"):
        list(ner.stream(["一"], timeout=seconds))


def test_client_is_pickled_with_its_settings(ner, worker):
    ner.extract(TEXT)  # it has open connections and threads
    with pickle.loads(pickle.dumps(ner)) as copy:
        assert copy.settings == ner.settings
        assert len(copy.extract(TEXT)) == 1
    assert pickle.loads(pickle.dumps(AsyncClient(settings=ner.settings))).settings == ner.settings
    with pytest.raises(TypeError, match=r"pass its id, and call Client.job\(id\) in the other process"):
        pickle.dumps(ner.submit(TEXT))


def test_timeout_of_an_old_request_names_the_lifetime_of_results(ner, worker, server):
    job = ner.submit(TEXT)
    job.result()
    server.client.delete(f"celery-task-meta-{job.id}")  # as it expires
    with pytest.raises(TimedOut, match=r"its result may have expired: results are kept for 3600 s"):
        ner.job(job.id).result(timeout=0.1)
    with pytest.raises(TimedOut, match="the request may still complete"):
        ner.submit("没有", priority="bulk", expires=60).result(timeout=0)
