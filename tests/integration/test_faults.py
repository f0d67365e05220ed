"""Faults of a real Redis: clients report the fault, and recover when it ends."""

import asyncio
import contextlib
import os
import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from hanner import AsyncClient, BrokerUnreachable, Client, HannerError
from support.bare_server import bare_server, watched_pair
from support.servers import redis_server
from support.stub_worker import StubWorker, store, success
from support.waiting import wait_until

EMPTY = success({"entities": [], "model": "m@0"})


def subscribed(server, job):
    """Wait until the job's result is subscribed."""
    wait_until(lambda: server.client.pubsub_numsub(f"celery-task-meta-{job.id}")[0][1])


def kill_subscriptions(server):
    return server.client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")


def waiting_for(job):
    """Wait for a result in another thread."""
    return ThreadPoolExecutor(1).submit(job.result, 30)


@pytest.mark.parametrize("lost", ["before it is stored", "after it is stored", "never"])
def test_unpublished_result_is_found(ner, server, lost):
    """Whether its subscription is lost, and when, does not matter."""
    job = ner.submit("马云")
    waiting = waiting_for(job)
    subscribed(server, job)
    if lost == "before it is stored":
        kill_subscriptions(server)
    store(server.client, job.id, EMPTY, announce=False)
    if lost == "after it is stored":
        kill_subscriptions(server)
    assert waiting.result(60) == []


def test_results_that_exceed_the_output_buffer_are_found(server):
    """Redis disconnects a slow subscriber when its output buffer is full."""
    usual = server.client.config_get("client-output-buffer-limit")["client-output-buffer-limit"]
    server.client.config_set("client-output-buffer-limit", "pubsub 20000 0 0")
    try:
        with Client(server.url, timeout=60) as ner, StubWorker(server.url):
            texts = ["字" * 20_000 + "马云"] * 20
            assert [len(document.entities) for document in ner.stream(texts)] == [1] * 20
            jobs = [ner.submit_many(["马云"] * 256) for _ in range(20)]
            with ThreadPoolExecutor(20) as threads:
                for documents in threads.map(lambda job: job.result(), jobs):
                    assert len(documents) == 256
    finally:
        server.client.config_set("client-output-buffer-limit", usual)


def test_frozen_redis_is_reported_and_then_used_again():
    with redis_server() as server, Client(server.url, timeout=60, connect_timeout=0.3) as ner:
        job = ner.submit("马云")
        waiting = waiting_for(job)
        subscribed(server, job)
        os.kill(server._embedded.process.pid, signal.SIGSTOP)
        try:
            for call in (lambda: ner.submit("马云"), job.revoke, ner.job("x").done, ner.backlog):
                with pytest.raises(BrokerUnreachable):
                    call()
        finally:
            os.kill(server._embedded.process.pid, signal.SIGCONT)
        with StubWorker(server.url):
            assert waiting.result(60)[0].text == "马云"
            assert ner.extract("马云")[0].text == "马云"


@pytest.mark.parametrize("kind", ["blocking", "asyncio"])
def test_stream_survives_restarts_of_redis(kind):
    """Queue and results are stored on disk, and each restart is clean, so nothing is lost."""
    with redis_server() as server:
        given = threading.Semaphore(0)
        done = []

        def blocking():
            with Client(server.url, timeout=60, connect_timeout=1) as ner:
                for document in ner.stream(("马云" for _ in range(6000)), window=256):
                    done.append(document)
                    given.release()

        async def asynchronous():
            async with AsyncClient(server.url, timeout=60, connect_timeout=1) as ner:
                async for document in ner.stream(("马云" for _ in range(6000)), window=256):
                    done.append(document)
                    given.release()

        with ThreadPoolExecutor(1) as threads:
            running = threads.submit(blocking if kind == "blocking" else lambda: asyncio.run(asynchronous()))
            for _ in range(3):
                with StubWorker(server.url):
                    for _ in range(1000):
                        assert given.acquire(timeout=60)
                server.stop()
                server.start()
            with StubWorker(server.url):
                running.result(60)
        assert [len(document.entities) for document in done] == [1] * 6000


def test_redis_that_is_loading_is_retried(tmp_path):
    slowly = ("--key-load-delay", "50", "--loading-process-events-interval-bytes", "1024")  # of redis' own tests
    with (
        bare_server(tmp_path, "--appendonly", "yes") as server,
        Client(server.url, timeout=60, connect_timeout=60) as ner,
    ):
        with server.client.pipeline() as pipeline:
            for number in range(15_000):
                pipeline.set(f"k{number}", "x")
            pipeline.execute()
        job = ner.submit("马云")
        waiting = waiting_for(job)
        subscribed(server, job)
        server.kill()
        server.start(*slowly)
        assert "LOADING" in first_reply(server)
        other = ner.submit("马云")  # within connect_timeout Redis has loaded
        with StubWorker(server.url):
            assert waiting.result(60)[0].text == "马云"
            assert other.result()[0].text == "马云"


def first_reply(server):
    """Return a server's first reply to a ping; an error is returned as text."""
    probe = redis.Redis(port=server.port, retry=Retry(NoBackoff(), 0))

    def reply():
        try:
            return str(probe.ping())
        except redis.exceptions.BusyLoadingError as error:
            return f"LOADING {error}"

    with contextlib.closing(probe):
        return wait_until(reply, ignore=redis.exceptions.ConnectionError)


def test_failed_disk_is_reported_and_streams_wait(server):
    """MISCONF: Redis refuses writes after a failed snapshot; here the snapshot's process is killed."""
    client = server.client
    usual = client.config_get("save")["save"]
    client.config_set("save", "3600 1")
    client.config_set("rdb-key-save-delay", "10000000")
    try:
        client.set("x", 1)
        client.bgsave()
        (saving,) = psutil.Process(server._embedded.process.pid).children()
        saving.kill()
        wait_until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err")
        client.config_set("rdb-key-save-delay", "0")
        with Client(server.url, timeout=60) as ner, ThreadPoolExecutor(1) as threads:
            with pytest.raises(BrokerUnreachable, match=r"refuses the request \(MISCONF.*its disk"):
                ner.submit("马云")
            client.config_set("stop-writes-on-bgsave-error", "no")
            ner.submit("马云", priority="bulk")  # the list that the stream uses: a new connection would be refused
            client.config_set("stop-writes-on-bgsave-error", "yes")
            client.config_resetstat()
            streaming = threads.submit(lambda: list(ner.stream(["马云"])))
            wait_until(lambda: client.info("commandstats").get("cmdstat_evalsha", {}).get("calls", 0) >= 2)
            client.config_set("stop-writes-on-bgsave-error", "no")
            with StubWorker(server.url):
                assert streaming.result(60)[0].entities
    finally:
        client.config_set("stop-writes-on-bgsave-error", "yes")
        client.config_set("rdb-key-save-delay", "0")
        client.config_set("save", usual)
        client.bgsave()
        wait_until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "ok")


def test_flushed_scripts_are_sent_again(ner, server):
    for _ in range(3):
        ner.submit("马云")
        ner.backlog()
        server.client.script_flush()
    assert server.client.llen("hanner") == 3


@pytest.mark.parametrize("how", ["killed", "demoted"])
def test_failover_through_sentinel(tmp_path, how):
    with (
        watched_pair(tmp_path) as (master, replica, sentinel),
        Client(sentinel.url, timeout=60, connect_timeout=2) as ner,
    ):
        job = ner.submit("马云")
        waiting = waiting_for(job)
        subscribed(master, job)
        wait_until(lambda: replica.client.llen("hanner") == 1)
        if how == "killed":
            master.kill()
        else:
            demote(sentinel)
            # Until then it accepts writes that it will lose.
            wait_until(lambda: master.client.info("replication")["role"] != "master")
        wait_until(lambda: replica.client.info("replication")["role"] == "master")
        other = submit_with_retries(ner)
        with StubWorker(replica.url):
            assert waiting.result(60)[0].text == "马云"
            assert other.result()[0].text == "马云"
            assert ner.extract("马云")[0].text == "马云"


def demote(sentinel):
    """Request a failover until the sentinel knows the replica well enough to do it."""
    wait_until(
        lambda: sentinel.client.execute_command("SENTINEL", "FAILOVER", "mymaster"),
        ignore=redis.exceptions.ResponseError,
    )


def submit_with_retries(ner):
    return wait_until(lambda: ner.submit("马云"), ignore=BrokerUnreachable)


def test_unresponsive_sentinel_is_reported_in_time():
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        Client(f"sentinel://127.0.0.1:{listening.getsockname()[1]}/0", connect_timeout=0.3) as ner,
    ):
        for call in (lambda: ner.submit("马云"), ner.job("x").done, ner.backlog, lambda: ner.job("x").result(3)):
            with pytest.raises(BrokerUnreachable):
                call()


def test_waiting_calls_do_not_flood_an_unreachable_redis():
    """All waiting calls together make only a few connection attempts per second."""
    with redis_server() as server, Client(server.url, connect_timeout=1) as ner:
        jobs = [ner.submit("马云") for _ in range(20)]
        waiting = [threading.Thread(target=lambda job=job: ignore_errors(lambda: job.result(2))) for job in jobs]
        for thread in waiting:
            thread.start()
        for job in jobs:
            subscribed(server, job)
        server.stop()
        with socket.create_server(("127.0.0.1", server.port), backlog=1000) as stand_in:
            counter = Counter(stand_in)
            sending = [threading.Thread(target=lambda: ignore_errors(lambda: ner.submit("马云"))) for _ in range(20)]
            for thread in sending:
                thread.start()
            for thread in waiting + sending:
                thread.join()
            stand_in.shutdown(socket.SHUT_RDWR)
            counter.thread.join()
        # 2 s of a listener's pauses (0.05 s and more), and a publisher's for at most two batches (0.02 s and more)
        assert 0 < counter.count < 60
        server.start()


def ignore_errors(call):
    with contextlib.suppress(HannerError):
        call()


class Counter:
    """Accepts connections and closes them."""

    def __init__(self, listening):
        self.count = 0
        self._listening = listening
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                connection.close()
                self.count += 1
