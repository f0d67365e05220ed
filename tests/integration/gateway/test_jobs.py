"""Jobs: restarts, several gateways, invalid texts, limits, revocation."""

import asyncio
import errno
import json
from tempfile import SpooledTemporaryFile

import pytest
from starlette import formparsers

from hanner.files.options import InputItem
from hanner.settings import Settings
from hanner_gateway.jobs.store import JobStore
from hanner_gateway.redis_client import make_redis
from hanner_gateway.schemas import Options
from support.gateways import gateway
from support.stub_worker import MODEL, StubWorker, failed

TEXTS = [f"{'字' * (n % 5)}马云" for n in range(100)]


def created(response):
    assert response.status_code == 202, response.text
    job = response.json()
    assert response.headers["location"] == f"/api/v1/jobs/{job['id']}"
    return job


def finished(site, job_id):
    """Wait for the job's last event; return the job with its documents."""
    event, data = site.events(job_id)[-1]
    assert event == "end"
    assert json.loads(data)["state"] == "done"
    return site.job(job_id).json()


def starts(job):
    return [document["entities"][0]["start"] for document in job["documents"]]


def test_documents_are_in_the_order_of_the_texts(site, worker):
    job = created(site.http.post("/api/v1/jobs", json={"texts": TEXTS}))
    assert job["total"] == 100
    done = finished(site, job["id"])
    assert (done["state"], done["done"], done["failed"], done["total"]) == ("done", 100, 0, 100)
    assert starts(done) == [n % 5 for n in range(100)]
    assert "documents" not in site.job(job["id"], documents=False).json()


def test_one_text_and_options(site, worker):
    job = created(site.http.post("/api/v1/jobs", json={"text": "😀马云", "offsets": "utf16", "types": ["PER"]}))
    assert starts(finished(site, job["id"])) == [2]
    job = created(site.http.post("/api/v1/jobs", json={"text": "马云", "min_score": 0.95}))
    done = finished(site, job["id"])
    assert (done["documents"], done["model"]) == ([{"entities": []}], MODEL)


def test_upload_is_refused_while_the_disk_is_full(site, worker, monkeypatch):
    class FullDisk(SpooledTemporaryFile):
        def write(self, data):
            raise OSError(errno.ENOSPC, "No space left on device")

    upload = {"file": ("t.txt", "马云\n".encode())}
    with monkeypatch.context() as patch:
        patch.setattr(formparsers, "SpooledTemporaryFile", FullDisk)
        refused = site.http.post("/api/v1/jobs", files=upload)
    assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
    assert "no space for this file" in refused.json()["detail"]
    assert int(refused.headers["retry-after"]) > 0
    assert created(site.http.post("/api/v1/jobs", files=upload))["total"] == 1


@pytest.mark.parametrize("name", ["texts.txt", "texts.jsonl"])
def test_uploaded_file(site, worker, name):
    lines = TEXTS if name.endswith("txt") else [json.dumps({"text": text}) for text in TEXTS]
    upload = {"file": (name, "\n".join(lines).encode())}
    job = created(
        site.http.post("/api/v1/jobs", files=upload, data={"types": "PER,LOC", "offsets": "byte", "min_score": "0.5"})
    )
    assert starts(finished(site, job["id"])) == [3 * (n % 5) for n in range(100)]


def test_events_report_progress(site, worker):
    worker.hold()
    job = created(site.http.post("/api/v1/jobs", json={"texts": TEXTS}))
    worker.wait_for(1)
    with site.http.stream("GET", f"/api/v1/jobs/{job['id']}/events") as response:
        lines = response.iter_lines()
        assert next(lines) == "event: progress"
        first = json.loads(next(lines).removeprefix("data: "))
        assert (first["state"], first["done"], first["total"]) == ("running", 0, 100)
        worker.release()
        rest = "\n".join(lines)
    assert rest.rpartition("event: end\ndata: ")[2].startswith(f'{{"id":"{job["id"]}","state":"done","done":100')


def test_invalid_text_does_not_fail_the_others(start, worker):
    site = start(max_text_chars=5)
    content = b'"ok"\n"\\ud800"\n"' + "字".encode() * 6 + b'"\n'
    job = created(site.http.post("/api/v1/jobs", files={"file": ("t.jsonl", content)}))
    done = finished(site, job["id"])
    assert (done["done"], done["failed"]) == (3, 2)
    assert [document.get("error", {}).get("code") for document in done["documents"]] == [None, *["invalid_text"] * 2]


def test_other_members_are_kept_and_a_bad_line_fails_alone(site, worker):
    lines = [
        '{"id": 1, "doc": {"body": "马云"}, "tags": ["a", "\\ud800"]}',
        '{"id": 2}',
        "{",
        '{"id": 4, "doc": {"body": "没有"}}',
    ]
    upload = {"files": {"file": ("t.jsonl", "\n".join(lines).encode())}, "data": {"member": "doc.body"}}
    job = created(site.http.post("/api/v1/jobs", **upload))
    done = finished(site, job["id"])
    assert (done["done"], done["failed"], done["total"]) == (4, 2, 4)
    first, second, third, fourth = done["documents"]
    assert (first["id"], first["tags"], first["entities"][0]["text"]) == (1, ["a", "\ud800"], "马云")
    assert (second["id"], second["error"]["code"]) == (2, "invalid_text")
    assert second["error"]["message"].endswith("its members are: id; name one with the field member")
    assert third["error"]["message"].startswith("line 3 of t.jsonl is not JSON")
    assert fourth == {"id": 4, "doc": {}, "entities": []}


def test_table_in_another_encoding_is_read_and_stated(site, worker):
    upload = {"files": {"file": ("t.csv", "编号,正文\n7,马云在杭州\n".encode("gb18030"))}}
    job = created(site.http.post("/api/v1/jobs", **upload))
    assert job["notices"] == ["t.csv is read as GB18030, by its content; the field encoding overrides it"]
    [document] = finished(site, job["id"])["documents"]
    assert (document["编号"], document["entities"][0]["text"]) == ("7", "马云")
    upload["data"] = {"include_text": "true"}
    [document] = finished(site, created(site.http.post("/api/v1/jobs", **upload))["id"])["documents"]
    assert (document["text"], document["编号"]) == ("马云在杭州", "7")
    upload["data"] = {"encoding": "nothing"}
    response = site.http.post("/api/v1/jobs", **upload)
    assert (response.status_code, "unknown encoding 'nothing'" in response.json()["detail"]) == (422, True)


@pytest.mark.parametrize("kind", ["WorkerLost", "ModelFailed"])
def test_text_that_fails_its_chunk_does_not_fail_the_others(site, worker, kind):
    worker.behaviour = lambda request: (
        failed(kind, "gone", module="hanner.errors") if "毒" in str(request["argument"]) else None
    )
    job = created(site.http.post("/api/v1/jobs", json={"texts": ["马云", "毒", "马云"]}))
    done = finished(site, job["id"])
    assert done["failed"] == 1
    assert [len(document["entities"]) for document in done["documents"]] == [1, 0, 1]
    assert done["documents"][1]["error"]["message"] == "gone"


def test_job_continues_in_the_next_gateway(server, worker):
    worker.hold()
    with gateway(server.url) as first:
        job = created(first.http.post("/api/v1/jobs", json={"texts": TEXTS}))
        worker.wait_for(1)
    worker.release()
    with gateway(server.url) as second:
        assert starts(finished(second, job["id"])) == [n % 5 for n in range(100)]


def test_job_of_a_dead_gateway_is_taken_over(server, start, worker):
    async def abandon():
        """Claim the job, as a process that dies at once."""
        redis = make_redis(Settings.from_env({}, broker_url=server.url))
        store = JobStore(redis, "hanner", 60, 10)

        async def chunks():
            yield [[InputItem("马云")], [InputItem("马云")]]

        job_id, _ = await store.create(chunks(), Options(), "id")
        claim = await store.claim()
        assert claim.id == job_id
        assert await store.claim() is None
        assert await store.renew(claim, 1)
        await redis.aclose()
        return job_id

    job_id = asyncio.run(abandon())
    assert len(finished(start(), job_id)["documents"]) == 2


def test_gateways_share_jobs(start, worker):
    first, second = start(), start()
    job = created(first.http.post("/api/v1/jobs", json={"texts": TEXTS}))
    assert len(finished(second, job["id"])["documents"]) == 100
    assert second.http.delete(f"/api/v1/jobs/{job['id']}").status_code == 204
    assert first.job(job["id"]).status_code == 404


def test_revoking_a_job_revokes_its_requests_and_deletes_it(server, site, worker, revoked):
    worker.hold()
    job = created(site.http.post("/api/v1/jobs", json={"texts": TEXTS}))
    tasks = {request["id"] for request in worker.wait_for(4)}
    with site.http.stream("GET", f"/api/v1/jobs/{job['id']}/events") as response:
        lines = response.iter_lines()
        assert next(lines) == "event: progress"
        assert site.http.delete(f"/api/v1/jobs/{job['id']}").status_code == 204
        assert '"state":"revoked"' in "\n".join(lines)
    commands = ""
    while not all(task in commands for task in tasks):
        commands += revoked()
    assert site.job(job["id"]).status_code == 404
    assert site.http.delete(f"/api/v1/jobs/{job['id']}").status_code == 404
    assert site.http.get(f"/api/v1/jobs/{job['id']}/events").status_code == 404
    assert not [key for key in server.client.scan_iter() if "job" in key]


def test_number_of_unfinished_jobs_is_limited(start, worker):
    site = start(max_jobs=2)
    worker.hold()
    for _ in range(2):
        created(site.http.post("/api/v1/jobs", json={"text": "马云"}))
    response = site.http.post("/api/v1/jobs", json={"text": "马云"})
    assert response.status_code == 429
    assert response.json()["code"] == "too_many_jobs"
    assert int(response.headers["retry-after"]) >= 1


def test_number_of_finished_jobs_is_limited_and_they_expire(server, start, worker):
    site = start(max_jobs=2, result_ttl=60)
    ids = []
    for _ in range(4):
        ids.append(created(site.http.post("/api/v1/jobs", json={"text": "马云"}))["id"])
        finished(site, ids[-1])
    assert [site.job(job_id).status_code for job_id in ids] == [404, 404, 200, 200]
    left = [key for key in server.client.keys("hanner:hanner:job*") if key != "hanner:hanner:jobs"]
    assert len(left) == 5
    assert all(0 < server.client.ttl(key) <= 60 for key in left)


def test_expired_job_does_not_count_as_unfinished(server, start, worker):
    site = start(max_jobs=1)
    server.client.zadd("hanner:hanner:jobs", {"f" * 32: 0})

    async def claim():
        redis = make_redis(Settings.from_env({}, broker_url=server.url))
        assert await JobStore(redis, "hanner", 60, 10).claim() is None
        await redis.aclose()

    asyncio.run(claim())
    created(site.http.post("/api/v1/jobs", json={"text": "马云"}))


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({"json": {}}, 422),
        ({"json": {"texts": []}}, 422),
        ({"json": {"texts": [1]}}, 422),
        ({"content": b"{", "headers": {"Content-Type": "application/json"}}, 400),
        ({"content": b"text"}, 415),
        ({"files": {"file": ("t.pdf", b"a")}}, 415),
        ({"files": {"file": ("t.txt", b"")}}, 422),
        ({"files": {"file": ("t.txt", b"\xff")}}, 422),
        ({"files": {"other": ("t.txt", b"a")}}, 422),
        ({"files": {"file": ("t.txt", b"a")}, "data": {"min_score": "high"}}, 422),
        ({"content": b"--x", "headers": {"Content-Type": "multipart/form-data; boundary=y"}}, 400),
        ({"content": b"--x", "headers": {"Content-Type": "multipart/form-data"}}, 400),
    ],
)
def test_rejected_job_leaves_no_keys(server, site, request_, status):
    response = site.http.post("/api/v1/jobs", **request_)
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert not [key for key in server.client.scan_iter() if "job" in key]


def test_uploads_may_be_larger_than_other_bodies(start, worker):
    site = start(max_body_bytes=2000, max_upload_bytes=10_000)
    content = b"a\n" * 2500
    assert created(site.http.post("/api/v1/jobs", files={"file": ("t.txt", content)}))["total"] == 2500
    response = site.http.post("/api/v1/jobs", files={"file": ("t.txt", content * 3)})
    assert (response.status_code, response.json()["code"]) == (413, "too_large")
    response = site.http.post("/api/v1/jobs", json={"text": "a" * 3000})
    assert response.status_code == 413
    assert "upload" in response.json()["detail"]


@pytest.mark.parametrize("job_id", ["0" * 32, "x", "0" * 33, "马", "s", "a:texts"])
def test_unknown_job_returns_404(site, job_id):
    assert site.job(job_id).status_code == 404
    assert site.http.get(f"/api/v1/jobs/{job_id}/events").status_code == 404
    assert site.http.delete(f"/api/v1/jobs/{job_id}").status_code == 404


def test_job_continues_after_redis_restarts(server, site):
    job = created(site.http.post("/api/v1/jobs", json={"texts": ["马云"]}))
    server.stop()
    server.start()
    with StubWorker(server.url):
        assert len(finished(site, job["id"])["documents"]) == 1
