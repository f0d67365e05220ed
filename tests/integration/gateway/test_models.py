"""HTTP requests that name a model."""

import pytest

from hanner.queue.keys import QUEUES
from support.stub_worker import StubWorker

BODIES = [
    ("/api/v1/ner", {"text": "马云"}),
    ("/api/v1/ner", {"texts": ["马云"]}),
    ("/api/v1/jobs", {"texts": ["马云"]}),
]


@pytest.fixture
def news(server):
    server.client.sadd(QUEUES, "hanner.news")
    with StubWorker(server.url, "hanner.news") as stub:
        yield stub


@pytest.mark.parametrize(("path", "body"), BODIES)
def test_unknown_model_returns_404(server, site, path, body):
    response = site.http.post(path, json=body | {"model": "nwes"})
    assert (response.status_code, response.json()["code"]) == (404, "unknown_model")
    assert "no worker of model 'nwes' has ever run here" in response.json()["detail"]
    assert not server.client.keys("hanner*")


def test_named_model_uses_its_queue(site, news):
    for path, body in BODIES:
        assert site.http.post(path, json=body | {"model": "news"}).status_code in {200, 202}
    lists = [request["list"] for request in news.wait_for(3)]
    assert lists == ["hanner.news", "hanner.news", "hanner.news.bulk"]


def test_upload_names_its_model_in_the_form(site, news):
    form = {"files": {"file": ("texts.txt", "马云\n")}, "data": {"model": "news"}}
    assert site.http.post("/api/v1/jobs", **form).status_code == 202
    assert [request["list"] for request in news.wait_for(1)] == ["hanner.news.bulk"]
    form["data"] = {"model": "nwes"}
    assert site.http.post("/api/v1/jobs", **form).status_code == 404
