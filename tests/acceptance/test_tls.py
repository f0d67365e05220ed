"""Client, real worker, gateway and remote control over TLS, with verified certificates."""

import pytest

from hanner import BrokerUnreachable, Client
from support.gateways import gateway
from support.tls import tls_server
from support.workers import foreign_app, worker


@pytest.fixture
def server(tmp_path):
    with tls_server(tmp_path) as server:
        yield server


@pytest.mark.parametrize("more", ["", "&ssl_cert_reqs=required"])
def test_client_worker_and_gateway_use_tls(server, more):
    url = server.url + more
    with worker(url, "-c", "1"), Client(url, timeout=60) as ner:
        assert len(ner.extract("马云在杭州")) == 1
        assert [len(document.entities) for document in ner.stream(["马云", "没有", "马云马云"])] == [1, 0, 2]
        job = ner.submit("!wait:gate")
        waiting = ner.submit("马云")
        waiting.revoke()
        ner._sender.connection.redis.rpush("gate", 1)
        assert job.result() == []
        assert ner.backlog().workers[0].processes == 1
        with gateway(url) as site:
            assert len(site.ner(text="马云").json()["entities"]) == 1
            created = site.http.post("/api/v1/jobs", json={"texts": ["马云"] * 3}).json()
            assert site.events(created["id"])[-1][0] == "end"
            assert site.http.get("/api/v1/status").json()["workers"]


def test_celery_app_without_hanner_uses_tls(server):
    url = f"{server.url}&ssl_cert_reqs=required"
    with worker(url, "-c", "1"), foreign_app(url) as app:
        assert len(app.send_task("hanner.extract", ["马云"]).get(timeout=60)["entities"]) == 1


def test_untrusted_certificate_is_refused(server):
    with Client(server.bare_url) as ner, pytest.raises(BrokerUnreachable, match=r"(?i)certificate") as caught:
        ner.submit("马云")
    assert server.password not in str(caught.value)


def test_untrusted_certificate_is_accepted_with_ssl_cert_reqs_none(server):
    with Client(f"{server.bare_url}?ssl_cert_reqs=none") as ner:
        assert ner.submit("马云").id
