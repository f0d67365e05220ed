"""A client with several Redis in HANNER_BROKER_URL."""

import asyncio
import json
import os
import re
import signal
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from hanner import AsyncClient, BrokerUnreachable, Client, HannerError, QueueFull, Revoked, UnknownModel
from hanner.address import parse_address
from hanner.cli.app import run
from hanner.queue.keys import QUEUES
from support.dead_letters import add_dead_letter
from support.gateways import gateway
from support.lossy_proxy import LossyProxy
from support.ports import free_port
from support.servers import redis_server
from support.stub_worker import StubWorker, failed, register_worker, store
from support.waiting import wait_until

TEXT = "马云在杭州"


@pytest.fixture(scope="module")
def running_servers():
    with redis_server() as one, redis_server() as two:
        yield one, two


@pytest.fixture
def servers(running_servers):
    for each in running_servers:
        each.client.flushall()
    return running_servers


@pytest.fixture
def urls(servers):
    return ",".join(each.url for each in servers)


@pytest.fixture
def workers(servers):
    with StubWorker(servers[0].url) as one, StubWorker(servers[1].url) as two:
        yield one, two


@pytest.fixture
def ner(urls):
    with Client(urls, timeout=60) as client:
        yield client


def address_of(job, servers):
    """Return the server that a job was sent to."""
    return next(each for each in servers if job.id.endswith(parse_address(each.url).tag))


def waiting(servers):
    return [each.client.llen("hanner") + each.client.llen("hanner.bulk") for each in servers]


def test_requests_are_spread_and_answered(ner, workers):
    for _ in range(10):
        assert ner.extract(TEXT)[0].text == "马云"
    assert sum(len(document.entities) for document in ner.stream([TEXT] * 1000)) == 1000
    jobs = [ner.submit(TEXT) for _ in range(10)]
    assert [len(job.result()) for job in jobs] == [1] * 10
    wait_until(lambda: ner.extract(TEXT) and all(len(worker.requests) >= 8 for worker in workers))
    ids = Counter(request["id"] for worker in workers for request in worker.requests)
    assert set(ids.values()) == {1}


def test_asyncio_requests_are_spread_and_answered(urls, workers):
    async def body():
        async with AsyncClient(urls, timeout=60) as ner:
            assert [len(found) for found in await asyncio.gather(*(ner.extract(TEXT) for _ in range(40)))] == [1] * 40
            assert sum([len(document.entities) async for document in ner.stream([TEXT] * 1000)]) == 1000
            job = await ner.submit(TEXT)
            assert len(await job.result()) == 1
            assert (await ner.job(job.id).result())[0].text == "马云"
            while not all(len(worker.requests) >= 20 for worker in workers):
                await ner.extract(TEXT)

    asyncio.run(body())


def test_requests_go_where_the_fewest_wait(ner, servers):
    servers[0].client.lpush("hanner", *["{}"] * 5000)
    ner.submit(TEXT)  # starts the checks
    wait_until(lambda: ner._sender.brokers.all[0].state.lengths.get("hanner", 0) >= 5000)
    wait_until(lambda: {address_of(ner.submit(TEXT), servers) for _ in range(20)} == {servers[1]})


def test_address_without_a_worker_is_avoided(ner, servers):
    register_worker(servers[1].client)
    ner.submit(TEXT)
    wait_until(lambda: all("hanner" in broker.state.has_worker for broker in ner._sender.brokers.all))
    wait_until(lambda: {address_of(ner.submit(TEXT), servers) for _ in range(5)} == {servers[1]})


@pytest.mark.parametrize("kind", ["blocking", "asyncio"])
def test_address_that_is_down_at_the_start_is_left_out_and_used_when_it_is_up(kind, caplog):
    async def extract(ner):
        return ner.extract(TEXT) if kind == "blocking" else await ner.extract(TEXT)

    async def body(servers):
        urls = ",".join(each.url for each in servers)
        client = (Client if kind == "blocking" else AsyncClient)(urls, timeout=60)
        for _ in range(6):
            assert (await extract(client))[0].text == "马云"
        assert "requests are sent to other addresses: Redis at " in caplog.text
        servers[1].start()
        with StubWorker(servers[1].url) as second:
            while not second.requests:
                assert (await extract(client))[0].text == "马云"
        if kind == "blocking":
            client.close()
        else:
            await client.close()

    with redis_server() as one, redis_server() as two, StubWorker(one.url):
        two.stop()
        asyncio.run(body((one, two)))


def test_texts_of_an_address_that_is_killed_wait_and_are_answered_once():
    with redis_server() as one, redis_server() as two, Client(f"{one.url},{two.url}", timeout=90) as ner:
        jobs = []
        while min(waiting([one, two])) < 5:
            jobs.append(ner.submit(TEXT))
        two.stop(kill=True)
        with StubWorker(one.url) as first:
            more = [ner.submit(TEXT) for _ in range(20)]
            assert {address_of(job, [one, two]) for job in more} == {one}
            assert [len(job.result()) for job in more] == [1] * 20
            lost = [job for job in jobs if address_of(job, [one, two]) is two]
            assert len(lost) >= 5
            two.start()
            with StubWorker(two.url) as second:
                assert [len(job.result()) for job in jobs] == [1] * len(jobs)
                ids = Counter(request["id"] for worker in (first, second) for request in worker.requests)
        assert ids == Counter({job.id: 1 for job in jobs + more})


@pytest.mark.parametrize("kind", ["blocking", "asyncio"])
def test_message_whose_confirmation_was_lost_is_sent_elsewhere_and_revoked(kind, servers):
    """Redis has it, but the client cannot know that."""
    one, two = servers

    async def submit(ner):
        return ner.submit(TEXT) if kind == "blocking" else await ner.submit(TEXT)

    async def body(ner, proxy):
        while not two.client.llen("hanner"):
            await submit(ner)
        two.client.delete("hanner")
        proxy.lose()
        while not proxy.lost.is_set():
            job = await submit(ner)
        assert job.id.endswith(parse_address(one.url).tag)
        (message,) = two.client.lrange("hanner", 0, -1)
        key = f"celery-task-meta-{json.loads(message)['headers']['id']}"
        assert not two.client.exists(key)
        proxy.restore()
        wait_until(lambda: two.client.exists(key))
        assert json.loads(two.client.get(key))["status"] == "REVOKED"
        assert not one.client.keys("celery-task-meta-*")

    async def main():
        with LossyProxy(two.port) as proxy:
            urls = f"{one.url},{proxy.url}"
            if kind == "blocking":
                with Client(urls, timeout=60) as ner:
                    await body(ner, proxy)
            else:
                async with AsyncClient(urls, timeout=60) as ner:
                    await body(ner, proxy)

    asyncio.run(main())


def test_full_queue_is_avoided_until_all_are_full(urls, servers):
    with Client(urls, max_queue=3) as ner:
        jobs = [ner.submit(TEXT) for _ in range(6)]
        assert Counter(address_of(job, servers) for job in jobs) == {servers[0]: 3, servers[1]: 3}
        with pytest.raises(QueueFull, match="3 interactive requests wait in 'hanner' and HANNER_MAX_QUEUE allows 3"):
            ner.submit(TEXT)
        servers[1].client.rpop("hanner")
        wait_until(lambda: ner.submit(TEXT), ignore=QueueFull)
        assert waiting(servers) == [3, 3]


def test_no_address_answers():
    urls = [f"redis://127.0.0.1:{free_port()}/0" for _ in range(2)]
    with Client(",".join(urls), timeout=5, connect_timeout=1) as ner:
        for call in (lambda: ner.extract(TEXT), ner.backlog):
            with pytest.raises(BrokerUnreachable, match="no address of HANNER_BROKER_URL can be used") as caught:
                call()
            assert all(url in str(caught.value) for url in urls)

    async def body():
        async with AsyncClient(",".join(urls), timeout=5, connect_timeout=1) as ner:
            with pytest.raises(BrokerUnreachable, match="no address of HANNER_BROKER_URL can be used"):
                await ner.extract(TEXT)

    asyncio.run(body())


def test_request_waits_while_all_addresses_restart():
    with (
        redis_server() as one,
        redis_server() as two,
        Client(f"{one.url},{two.url}", timeout=60, connect_timeout=60) as ner,
    ):
        first = ner.submit(TEXT)
        one.stop()
        two.stop()
        with ExitStack() as stack:
            sent = stack.enter_context(ThreadPoolExecutor(1)).submit(ner.extract, TEXT)
            wait_until(lambda: all(broker.state.is_down for broker in ner._sender.brokers.all))
            one.start()
            two.start()
            for each in (one, two):
                stack.enter_context(StubWorker(each.url))
            assert sent.result(60)[0].text == "马云"
            assert first.result()[0].text == "马云"


def test_request_is_revoked_at_its_address(ner, servers):
    jobs = []
    wait_until(lambda: jobs.append(ner.submit(TEXT)) or {address_of(job, servers) for job in jobs} == set(servers))
    for job in jobs:
        job.revoke()
        with pytest.raises(Revoked):
            job.result()
        assert [each.client.exists(f"celery-task-meta-{job.id}") for each in servers] == [
            each is address_of(job, servers) for each in servers
        ]


def test_job_of_another_client_is_found(ner, urls, workers):
    jobs = [ner.submit(TEXT) for _ in range(4)]
    with Client(urls, timeout=60) as other:
        for job in jobs:
            assert other.job(job.id).result()[0].text == "马云"
            assert other.job(job.id).done()


@pytest.mark.parametrize("number", [0, 1])
def test_job_whose_id_names_no_address_is_found_at_any(ner, servers, number):
    with Client(servers[number].url, timeout=60) as alone:
        sent = alone.submit(TEXT)
    found = ner.job(sent.id)
    assert not found.done()
    with pytest.raises(HannerError, match="does not name one of the addresses in HANNER_BROKER_URL"):
        found.revoke()
    with StubWorker(servers[number].url):
        assert found.result()[0].text == "马云"
        assert found.done()


def test_error_of_a_job_whose_id_names_no_address(ner, servers):
    store(servers[1].client, "x", failed("ModelFailed", "broken", module="hanner.errors"))
    with pytest.raises(HannerError, match="broken"):
        ner.job("x").result()


def test_model_is_known_if_any_address_knows_it(ner, servers):
    with pytest.raises(UnknownModel):
        ner.extract(TEXT, model="news")
    servers[1].client.sadd(QUEUES, "hanner.news")
    assert ner.queue_of("news") == "hanner.news"


def test_backlogs(ner, servers):
    register_worker(servers[1].client, rate=8)
    register_worker(servers[0].client, rate=4)
    ner.submit_many([TEXT] * 80)
    ner.submit_many([TEXT] * 80)
    assert [backlog.texts for backlog in ner.backlogs().values()] == [80, 80]
    assert list(ner.backlogs()) == [each.url for each in servers]
    both = ner.backlog()
    assert (both.depth, both.texts, both.bulk, both.rate, len(both.workers)) == (2, 160, 2, 12, 2)
    assert both.seconds == pytest.approx(160 / 12)


@pytest.fixture
def half(running_servers, servers, monkeypatch):
    """HANNER_BROKER_URL with an address that answers and one that does not."""
    dead = f"redis://127.0.0.1:{free_port()}/0"
    monkeypatch.setenv("HANNER_BROKER_URL", f"{servers[0].url},{dead}")
    return servers[0], dead


def test_status_shows_each_address(half, capsys):
    server, dead = half
    register_worker(server.client, rate=8)
    server.client.lpush("hanner", "{}")
    assert run(["status", "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["redis"] == f"{server.url},{dead}"
    assert values["depth"] == values["addresses"][server.url]["depth"] == 1
    assert values["addresses"][dead]["error"]["code"] == "broker_unreachable"
    assert run(["status"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"redis\t{server.url}\tup\t1\t-\t0\t1\t8.0" in lines
    assert f"redis\t{dead}\tdown\t-\t-\t-\t-\t-" in lines


def test_status_in_a_terminal_shows_each_address(half, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert run(["status"]) == 0
    shown = " ".join(re.sub(r"\x1b\[[\d;]*m", "", capsys.readouterr().out).split())
    assert f"{half[0].url} up 0 - 0 0 0.0" in shown
    assert f"{half[1]} down - - - - -" in shown


def test_status_of_no_address_is_an_error(monkeypatch, capsys):
    monkeypatch.setenv("HANNER_BROKER_URL", ",".join(f"redis://127.0.0.1:{free_port()}" for _ in range(2)))
    assert run(["status"]) == 1
    assert "no address of HANNER_BROKER_URL can be used" in capsys.readouterr().err


def test_doctor_checks_each_address(half, capsys):
    server, dead = half
    assert run(["doctor", "--json", "--timeout", "1"]) == 1
    results = json.loads(capsys.readouterr().out)
    assert f"{server.url},{dead}" in next(each["message"] for each in results if each["subject"] == "address")
    redis = [(each["level"], each["message"]) for each in results if each["subject"] == "Redis"]
    assert redis[0][0] == "ok"
    assert redis[0][1].startswith(f"{server.url}: ")
    assert redis[1][0] == "fail"
    assert redis[1][1].startswith(f"{dead} does not answer")


def test_dead_letters_of_all_addresses(servers, urls, monkeypatch, capsys):
    monkeypatch.setenv("HANNER_BROKER_URL", urls)
    for number, server in enumerate(servers):
        add_dead_letter(server.client, f"a{number}", at=1000.0 + number, message="one")
        add_dead_letter(server.client, f"b{number}", at=2000.0 + number, message="two")
    assert run(["dead", "list"]) == 0
    assert [json.loads(line)["id"] for line in capsys.readouterr().out.splitlines()] == ["a0", "a1", "b0", "b1"]
    assert run(["dead", "show", "b1"]) == 0
    assert run(["dead", "retry", "a0", "a1"]) == 0
    assert "2 requests put back into the queue" in capsys.readouterr().out
    assert [each.client.lrange("hanner", 0, -1) for each in servers] == [["one"], ["one"]]
    assert run(["dead", "purge", "--all", "--yes"]) == 0
    assert "2 requests deleted" in capsys.readouterr().out


def test_dead_letters_of_the_address_that_answers(half, capsys):
    add_dead_letter(half[0].client, "a")
    assert run(["dead", "list"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["id"] == "a"
    assert f"{half[1]} does not answer" in shown.err


@pytest.mark.parametrize("command", [["up"], ["flower"]])
def test_command_for_one_redis_refuses_several(command, half, capsys, tmp_path):
    assert run([*command, "--data", str(tmp_path)]) == 2
    assert "HANNER_BROKER_URL has 2 addresses" in capsys.readouterr().err


def test_gateway_uses_all_addresses(servers, urls, workers):
    for each in servers:
        register_worker(each.client)
    with gateway(urls) as site:
        while not all(worker.requests for worker in workers):
            assert site.ner(text=TEXT).json()["entities"][0]["text"] == "马云"
        page = site.http.get("/metrics").text
        for each in servers:
            assert f'hanner_queue_workers{{broker="{each.url}",queue="hanner"}} 1.0' in page
        assert len(site.http.get("/api/v1/status").json()["workers"]) == 2
        assert site.http.get("/readyz").status_code == 200


def test_gateway_answers_texts_while_the_first_address_is_down(half, workers):
    server, dead = half
    register_worker(server.client)
    with gateway(f"{dead},{server.url}", connect_timeout=1) as site:
        for _ in range(4):
            assert site.ner(text=TEXT).json()["entities"][0]["text"] == "马云"
        assert site.http.get("/readyz").status_code == 200
        assert site.http.post("/api/v1/jobs", json={"texts": [TEXT]}).json()["code"] == "broker_unreachable"
        page = site.http.get("/metrics").text
        assert f'hanner_queue_up{{broker="{dead}",queue="hanner"}} 0.0' in page
        assert f'hanner_queue_up{{broker="{server.url}",queue="hanner"}} 1.0' in page


def test_address_that_hangs_is_left_out(servers, workers):
    with Client(",".join(each.url for each in servers), timeout=60, connect_timeout=0.5) as ner:
        for _ in range(4):
            ner.extract(TEXT)
        process = servers[1]._embedded.process
        os.kill(process.pid, signal.SIGSTOP)
        try:
            jobs = [ner.submit(TEXT) for _ in range(20)]
            assert {address_of(job, servers) for job in jobs} == {servers[0]}
            assert [len(job.result()) for job in jobs] == [1] * 20
        finally:
            os.kill(process.pid, signal.SIGCONT)
        wait_until(lambda: address_of(ner.submit(TEXT), servers) is servers[1])
