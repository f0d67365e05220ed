"""POST /api/v1/ner, and POST / in Hugging Face's format, with a real Redis and a stub worker."""

import json
import socket

import pytest

from hanner_gateway import models
from support.gateways import gateway
from support.stub_worker import MODEL, failed

JSON = {"Content-Type": "application/json"}
PEOPLE = {"text": "马云", "type": "PER", "start": 0, "end": 2, "score": 0.9}


def assert_problem(response, status, code):
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == status
    assert problem["code"] == code
    assert problem["request_id"] == response.headers["x-request-id"]
    return problem


def test_one_text(site, worker):
    response = site.ner(text="马云在杭州")
    assert response.status_code == 200
    assert response.json() == {"entities": [PEOPLE], "model": MODEL}
    assert response.headers["cache-control"] == "no-store"


def test_invalid_text_does_not_fail_the_others(start, worker):
    site = start(max_text_chars=5)
    answer = site.ner(texts=["马云", "", "一二三四五六"]).json()
    assert answer["model"] == MODEL
    documents = answer["documents"]
    assert [len(document["entities"]) for document in documents] == [1, 0, 0]
    assert documents[2]["error"]["code"] == "invalid_text"
    assert "error" not in documents[0]


@pytest.mark.parametrize(("unit", "first"), [("codepoint", 1), ("utf16", 2), ("byte", 4)])
def test_offsets_are_in_the_requested_unit(site, worker, unit, first):
    [found] = site.ner(text="😀马云", offsets=unit).json()["entities"]
    assert found["start"] == first
    [document] = site.ner(texts=["😀马云"], offsets=unit).json()["documents"]
    assert document["entities"] == [found]


def test_entities_are_filtered(site, worker):
    assert site.ner(text="马云", types=["LOC"]).json() == {"entities": [], "model": MODEL}
    assert site.ner(text="马云", min_score=0.95).json() == {"entities": [], "model": MODEL}
    assert site.ner(texts=["马云"], types=["PER"], min_score=0.5).json()["documents"][0]["entities"] == [PEOPLE]


INVALID_BODIES = (
    {},
    [],
    "a",
    {"text": 1},
    {"texts": []},
    {"texts": ["a"] * 257},
    {"text": "a", "texts": ["b"]},
    {"text": "a", "offsets": "x"},
    {"text": "a", "min_score": 2},
    {"text": "a", "min_score": False},
    {"text": "a", "more": 1},
)


@pytest.mark.parametrize("body", INVALID_BODIES, ids=str)
def test_invalid_body_is_rejected_with_the_place_of_the_error(site, body):
    problem = assert_problem(site.http.post("/api/v1/ner", json=body), 422, "invalid_request")
    assert problem["errors"][0]["where"].startswith("body")
    assert ".one" not in problem["detail"] + problem["errors"][0]["where"]


def test_text_and_texts_together_are_refused_in_a_sentence(site):
    for path in ("/api/v1/ner", "/api/v1/jobs"):
        problem = assert_problem(site.http.post(path, json={"text": "a", "texts": ["b"]}), 422, "invalid_request")
        assert problem["detail"] == "the request is invalid: body: send either `text` or `texts`, not both"
        problem = assert_problem(site.http.post(path, json={"types": ["PER"]}), 422, "invalid_request")
        assert problem["detail"] == "the request is invalid: body: send a `text`, or `texts`"


def test_unknown_types_are_refused_with_the_types_there_are(server, start, worker, lease, models_clock):
    site = start()
    assert site.ner(text="马云", types=["PERSON"]).status_code == 200  # no worker reports its types
    lease(types='["LOC", "ORG", "PER"]', model="m@1")
    models_clock.now += models.VALID_FOR
    for path in ("/api/v1/ner", "/api/v1/jobs"):
        response = site.http.post(path, json={"texts": ["马云"], "types": ["PER", "PERSON", "人名"]})
        problem = assert_problem(response, 422, "unknown_type")
        assert problem["detail"] == "unknown types: 'PERSON', '人名'; the model has LOC, ORG, PER"
    upload = {"files": {"file": ("t.txt", "马云".encode())}, "data": {"types": "PERSON"}}
    assert_problem(site.http.post("/api/v1/jobs", **upload), 422, "unknown_type")
    assert not [key for key in server.client.scan_iter() if ":job" in key]
    assert site.ner(text="马云", types=["PER"]).json()["entities"] == [PEOPLE]
    lease("w2", types='["LOC", "ORG", "PER", "PERSON"]')  # with a dictionary
    assert site.ner(text="马云", types=["PERSON"]).status_code == 422
    models_clock.now += models.RECHECK_AFTER
    assert site.ner(text="马云", types=["PERSON"]).status_code == 200


def test_invalid_text_returns_422(start):
    site = start(max_text_chars=3)
    detail = assert_problem(site.ner(text="一二三四"), 422, "invalid_text")["detail"]
    assert "the limit is 3" in detail
    assert detail.endswith("on both the client and the worker, and restart the worker")
    response = site.http.post("/api/v1/ner", content=b'{"text": "\\ud800"}', headers=JSON)
    assert "lone surrogate" in assert_problem(response, 422, "invalid_text")["detail"]


def test_body_that_is_not_json_is_rejected(site):
    assert_problem(site.http.post("/api/v1/ner", content=b"{", headers=JSON), 400, "bad_request")
    assert_problem(site.http.post("/api/v1/ner", content=b"\xff\xfe", headers=JSON), 400, "bad_request")
    assert_problem(site.http.post("/api/v1/ner", content=b"[" * 100_000, headers=JSON), 400, "bad_request")
    assert_problem(site.http.post("/api/v1/ner", content=b"text=a"), 415, "unsupported_media_type")
    assert_problem(site.http.post("/api/v1/ner", data={"text": "a"}), 415, "unsupported_media_type")


def test_too_large_body_returns_413(start):
    site = start(max_body_bytes=2000)
    body = json.dumps({"text": "a" * 3000}).encode()
    for content in (body, iter([body])):
        problem = assert_problem(site.http.post("/api/v1/ner", content=content, headers=JSON), 413, "too_large")
        assert problem["limit"] == 2000
        assert problem["detail"].startswith("the body has more than 2,000 bytes; ")


def test_too_many_texts_return_422_with_the_limit(site):
    problem = assert_problem(site.ner(texts=["a"] * 257), 422, "invalid_request")
    assert problem["limit"] == 256
    assert "at most 256 items" in problem["detail"]


def test_unknown_path_and_method(site):
    assert_problem(site.http.get("/api/v1/nothing"), 404, "not_found")
    response = site.http.put("/api/v1/ner")
    assert_problem(response, 405, "method_not_allowed")
    assert response.headers["allow"] == "POST"
    assert site.http.put("/api/v1/jobs/" + "0" * 32).headers["allow"] == "DELETE, GET"
    assert site.http.put("/").headers["allow"] == "GET, POST"


@pytest.mark.parametrize(
    ("kind", "code", "status"), [("ModelFailed", "model_failed", 503), ("WorkerLost", "worker_lost", 503)]
)
def test_failure_in_the_worker_returns_503(site, worker, kind, code, status):
    worker.behaviour = lambda request: failed(kind, "it failed", module="hanner.errors")
    problem = assert_problem(site.ner(text="马云"), status, code)
    assert problem["detail"] == "it failed"


def test_timeout_returns_504_and_revokes_the_text(start, worker, revoked):
    worker.hold()
    site = start(timeout=0.3)
    assert_problem(site.ner(text="马云"), 504, "timed_out")
    assert worker.wait_for(1)[0]["id"] in revoked()


def test_client_that_disconnects_revokes_its_text(site, worker, revoked):
    worker.hold()
    body = json.dumps({"text": "马云"}).encode()
    with socket.create_connection(("127.0.0.1", site.port)) as client:
        head = f"POST /api/v1/ner HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        client.sendall(head.encode() + b"\r\n\r\n" + body)
        task = worker.wait_for(1)[0]["id"]
    assert task in revoked()
    counted = site.http.get("/metrics").text
    assert 'hanner_http_requests_total{method="POST",route="/api/v1/ner",status="499"}' in counted


def test_full_queue_returns_429_with_retry_after(server, start):
    site = start(max_queue=1, timeout=0.2)
    server.client.lpush("hanner", "{}")
    response = site.ner(text="马云")
    assert_problem(response, 429, "queue_full")
    assert int(response.headers["retry-after"]) >= 1


def test_unreachable_redis_returns_503():
    with gateway("redis://127.0.0.1:1/0", connect_timeout=0.3) as site:
        for response in (site.ner(text="马云"), site.http.get("/api/v1/status"), site.http.get("/readyz")):
            assert_problem(response, 503, "broker_unreachable")
            assert int(response.headers["retry-after"]) >= 1
        assert_problem(site.http.post("/api/v1/jobs", json={"text": "a"}), 503, "broker_unreachable")
        assert site.http.get("/healthz").status_code == 200


def test_request_id_is_sent_to_the_worker(site, worker):
    response = site.http.post("/api/v1/ner", json={"text": "马云"}, headers={"X-Request-ID": "order-66"})
    assert response.headers["x-request-id"] == "order-66"
    made = site.ner(texts=["马云"]).headers["x-request-id"]
    assert [request["headers"]["request_id"] for request in worker.wait_for(2)] == ["order-66", made]
    invalid = site.http.get("/healthz", headers={"X-Request-ID": "a b"}).headers["x-request-id"]
    assert invalid not in {"a b", made}


@pytest.mark.parametrize("argument", ["base_url", "model"])
def test_hugging_face_client_works_unchanged(site, worker, argument):
    from huggingface_hub import InferenceClient  # noqa: PLC0415 - as slow to import as all of pytest

    client = InferenceClient(**{argument: site.url})
    [found] = client.token_classification("我是马云")
    assert (found.entity_group, found.word, found.start, found.end, found.score) == ("PER", "马云", 2, 4, 0.9)
    found = client.token_classification("马云", aggregation_strategy="none", ignore_labels=["LOC"])
    assert [(element.entity, element.word) for element in found] == [("B-PER", "马"), ("I-PER", "云")]


def test_hugging_face_format_for_several_texts(start, worker):
    site = start(max_text_chars=5)
    answer = site.http.post("/", json={"inputs": ["马云", "无"], "options": {"wait_for_model": True}}).json()
    assert [[element["word"] for element in elements] for elements in answer] == [["马云"], []]
    assert_problem(site.http.post("/", json={"inputs": ["马云", "一二三四五六"]}), 422, "invalid_text")
    assert_problem(site.http.post("/", json={"inputs": {}}), 422, "invalid_request")
