"""No text is lost, answered twice or stuck when a real worker is killed, paused or stopped."""

import base64
import json
import os
import signal
import subprocess
import sys
from contextlib import ExitStack

import psutil
import pytest

from support.ended_processes import wait_ended
from support.occupied_process import occupied_process
from support.waiting import wait_until
from support.workers import SHORT_LEASE, found, runs, unacked, worker


def signal_all(running, number):
    """Send a signal to a worker and its processes."""
    os.killpg(running.process.pid, number)


def children(running):
    return psutil.Process(running.process.pid).children()


def test_requests_of_a_killed_worker_are_taken_over_by_another(server, app, events):
    with (
        worker(server.url, "-c", "1", env=SHORT_LEASE) as first,
        worker(server.url, "-c", "1", "-n", "two", env=SHORT_LEASE),
    ):
        blocked = [app.send_task("hanner.extract", [f"!wait:gate{n}"]) for n in range(2)]
        for _ in blocked:
            assert server.client.blpop(["waiting"], timeout=60)
        waiting = [app.send_task("hanner.extract", [f"马云{n}"]) for n in range(20)]
        # A message that cannot be divided between the two stays in the queue until one of them is idle.
        events.wait_for(lambda e: sum("task-received" in e.of(result.id) for result in waiting) >= 19)
        signal_all(first, signal.SIGKILL)
        first.wait()
        server.client.rpush("gate0", 1, 1)
        server.client.rpush("gate1", 1, 1)
        assert [found(result) for result in blocked] == [0] * 2
        assert [found(result) for result in waiting] == [1] * 20
        assert not unacked(server.client)


def test_a_text_that_kills_workers_becomes_a_dead_letter(server, app, events):
    poison = None
    for death in range(3):
        with worker(server.url, "-c", "1", env=SHORT_LEASE) as running:
            poison = poison or app.send_task("hanner.extract", ["!wait:never"])
            assert server.client.blpop(["waiting"], timeout=60)
            assert server.client.hget("hanner:hanner:crashes", poison.id) == (str(death) if death else None)
            signal_all(running, signal.SIGKILL)
            running.wait()
    with worker(server.url, "-c", "1", env=SHORT_LEASE):
        with pytest.raises(Exception, match="died each time"):
            poison.get(timeout=60)
        letter = json.loads(server.client.hget("hanner:hanner:dead", poison.id))
        assert (letter["code"], letter["crashes"]) == ("worker_lost", 3)
        assert len(runs(server.client)) == 3
        events.wait_for(lambda e: "task-failed" in e.of(poison.id))
        assert not server.client.exists("hanner:hanner:crashes")


def test_running_requests_of_a_killed_worker_are_retried_isolated(server, app, events):
    with worker(server.url, "-c", "1", env=SHORT_LEASE) as running:
        with occupied_process(app, server, events) as send:
            results = send(
                "马云一。。。。。", "马云二。。。。。", "!wait:it"
            )  # of one length, so that they share a batch
        assert server.client.blpop(["waiting"], timeout=60)
        signal_all(running, signal.SIGKILL)
        running.wait()
    with worker(server.url, "-c", "1", env=SHORT_LEASE):
        server.client.rpush("it", 1)
        assert [found(result) for result in results] == [1, 1, 0]
    assert [len(run) for run in runs(server.client)] == [1, 3, 1, 1, 1]


def test_a_frozen_worker_neither_overwrites_nor_acknowledges(server, app):
    with worker(server.url, "-c", "1", env=SHORT_LEASE) as first:
        result = app.send_task("hanner.extract", ["!wait:gate"])
        assert server.client.blpop(["waiting"], timeout=60)
        while not any(client["cmd"] == "blpop" for client in server.client.client_list()):
            pass  # its model does not block yet
        signal_all(first, signal.SIGSTOP)
        with worker(server.url, "-c", "1", "-n", "two", env=SHORT_LEASE) as second:
            assert server.client.blpop(["waiting"], timeout=60)  # it has taken over the request
            (tag,) = unacked(server.client)
            server.client.lpush("gate", 1)  # for the frozen worker, which blocked first
            signal_all(first, signal.SIGCONT)
            first.wait_for("belong to another worker")
            assert not server.client.exists(f"celery-task-meta-{result.id}")
            assert unacked(server.client) == [tag]
            server.client.lpush("gate", 1)
            assert found(result) == 0
            # Both workers continue.
            more = [app.send_task("hanner.extract", [f"马云{n}"]) for n in range(50)]
            assert [found(one) for one in more] == [1] * 50
            assert (first.stop(), second.stop()) == (0, 0)
    assert not unacked(server.client)


def test_sigterm_requeues_at_once_the_requests_that_do_not_run(server, app, events):
    with worker(server.url, "-c", "1") as running:
        busy = app.send_task("hanner.extract", ["!wait:gate"])
        assert server.client.blpop(["waiting"], timeout=60)
        later = app.send_task("hanner.extract", ["马云"], countdown=3600)
        waiting = [app.send_task("hanner.extract", [f"马云{n}"]) for n in range(5)]
        for result in [later, *waiting]:
            events.wait_for(lambda e, result=result: "task-received" in e.of(result.id))
        running.process.terminate()
        with worker(server.url, "-c", "1", "-n", "two") as second:
            # The first worker still runs its batch.
            assert [found(result) for result in waiting] == [1] * 5
            assert running.process.poll() is None
            server.client.rpush("gate", 1)
            assert running.wait() == 0
            assert found(busy) == 0
            assert second.stop() == 0
    assert server.client.zrange("hanner:hanner:scheduled", 0, -1) == [later.id]  # in Redis, for the next worker
    assert set(server.client.keys("hanner:hanner:*")) == {"hanner:hanner:scheduled", "hanner:hanner:scheduled:messages"}


def test_a_cold_shutdown_requeues_everything(server, app, events):
    with worker(server.url, "-c", "1") as running:
        busy = app.send_task("hanner.extract", ["!wait:gate"])
        assert server.client.blpop(["waiting"], timeout=60)
        waiting = app.send_task("hanner.extract", ["马云"])
        events.wait_for(lambda e: "task-received" in e.of(waiting.id))
        running.process.send_signal(signal.SIGQUIT)
        running.wait()
    assert not unacked(server.client)
    assert {json.loads(raw)["headers"]["id"] for raw in server.client.lrange("hanner", 0, -1)} == {busy.id, waiting.id}
    assert not server.client.exists("hanner:hanner:leases", "hanner:hanner:crashes")


def test_processes_of_a_killed_parent_exit(server, app):
    with worker(server.url, "-c", "2") as running:
        assert found(app.send_task("hanner.extract", ["马云"])) == 1
        orphans = children(running)
        assert len(orphans) == 2
        running.kill()
        wait_ended(orphans)


def test_flushed_scripts_are_sent_again(server, app):
    with worker(server.url, "-c", "1"):
        assert found(app.send_task("hanner.extract", ["马云"])) == 1
        server.client.script_flush()
        results = [app.send_task("hanner.extract", [f"马云{n}"]) for n in range(40)]
        assert [found(result) for result in results] == [1] * 40


@pytest.mark.parametrize("role", ["master without replicas", "replica"])
def test_a_redis_that_refuses_writes_is_polled_until_it_accepts_them(server, app, role):
    with worker(server.url, "-c", "1") as running:
        assert found(app.send_task("hanner.extract", ["马云"])) == 1
        before = psutil.Process(running.process.pid).cpu_times()
        if role == "replica":
            server.client.replicaof("127.0.0.1", 1)
            running.wait_for("read only", times=3)
        else:
            server.client.config_set("min-replicas-to-write", 1)
            running.wait_for("Redis refused a command", times=3)
        after = psutil.Process(running.process.pid).cpu_times()
        assert after.user + after.system - before.user - before.system < 2  # no busy loop
        server.client.config_set("min-replicas-to-write", 0)
        server.client.replicaof("no", "one")
        assert found(app.send_task("hanner.extract", ["马云"])) == 1
        assert running.stop() == 0


def test_worker_reconnects_if_redis_becomes_a_replica_while_it_waits_for_messages(server, app):
    def waiting():
        return [client for client in server.client.client_list() if "b" in client["flags"]]

    with worker(server.url, "-c", "1") as running:
        assert found(app.send_task("hanner.extract", ["马云"])) == 1
        wait_until(lambda: len(waiting()) == 2)  # for an interactive and for a bulk message
        server.client.replicaof("127.0.0.1", 1)
        running.wait_for("read only")
        assert "dropping stale connection" not in running.output  # kombu's health check, after 18 seconds
        connections = len(server.client.client_list())
        running.wait_for("read only", times=5)
        wait_until(lambda: len(server.client.client_list()) <= connections, why=server.client.client_list)
        server.client.replicaof("no", "one")
        assert found(app.send_task("hanner.extract", ["马云"])) == 1
        assert running.stop() == 0


HOSTILE = [
    b"",
    b"\xff\xfe\x00",
    b"null",
    b"[]",
    b"{}",
    b"1" * 5000,
    b"[" * 100_000,
    b'{"body": 3, "headers": {}, "properties": {}}',
    b'{"body": "", "headers": [], "properties": {}}',
    b'{"body": "", "headers": {"task": "hanner.extract", "id": "a"}, "properties": {}}',
    b'{"body": "!!", "headers": {"task": "hanner.extract", "id": "b"}, "properties": {"body_encoding": "base64"}}',
    b'{"body": "W10=", "headers": {"task": "hanner.extract"}, "properties": {"body_encoding": "base64"}}',
    b'{"body": "", "headers": {"task": "no.such"}, "properties": {}}',
    b'{"body": "", "headers": {"task": ["x"]}, "properties": {}}',
    b'{"body": "", "headers": {"task": {}}, "properties": {"delivery_info": 3}}',
]


def enveloped(task_id, body, **headers):
    return json.dumps(
        {
            "body": base64.b64encode(body).decode(),
            "content-type": "application/json",
            "content-encoding": "utf-8",
            "headers": {"task": "hanner.extract", "id": task_id, "root_id": task_id, **headers},
            "properties": {"body_encoding": "base64", "delivery_info": {}},
        }
    ).encode()


def test_no_message_stops_the_worker(server, app):
    deep = b"[" * 900 + b"]" * 900
    hostile = [
        *HOSTILE,
        enveloped("deep", b"[[" + deep + b"], {}, {}]"),
        enveloped("huge", b"[[" + b"9" * 4000 + b"], {}, {}]"),
        enveloped("embed", b'[["\xe7\x94\xb2"], {}, {"chain": ' + deep + b"}]"),
        enveloped("eta", b'[["\xe7\x94\xb2"], {}, {}]', eta="yesterday"),
        enveloped("expires", b'[["\xe7\x94\xb2"], {}, {}]', expires={"a": 1}),
        enveloped("limit", b'[["\xe7\x94\xb2"], {}, {}]', timelimit="soon"),
        enveloped(["list"], b'[["\xe7\x94\xb2"], {}, {}]'),
        enveloped("group", b'[["\xe7\x94\xb2"], {}, {}]', group=[[]], stamps=3, stamped_headers=[7]),
    ]
    with worker(server.url, "-c", "1") as running:
        results = []
        for message in hostile:
            server.client.execute_command("LPUSH", "hanner", message)
            results.append(app.send_task("hanner.extract", ["马云"]))
        assert [found(result) for result in results] == [1] * len(results)
        while unacked(server.client) or server.client.exists("hanner"):
            pass  # some of them are retried alone
        assert running.stop() == 0
    assert "Connection to broker lost" not in running.output


def test_messages_with_a_priority_are_fetched_too(server, app):
    with worker(server.url, "-c", "1"):
        for priority in (9, 0, 3):
            assert found(app.send_task("hanner.extract", ["马云"], priority=priority)) == 1


def test_a_rolling_restart_under_load_answers_every_text(server):
    sender = subprocess.Popen([sys.executable, "-c", SENDER, server.url])
    with ExitStack() as stack:
        stack.callback(sender.wait)
        stack.callback(sender.kill)
        one = stack.enter_context(worker(server.url, "-c", "1"))
        for n in range(3):
            two = stack.enter_context(worker(server.url, "-c", "1", "-n", f"next{n}"))
            assert one.stop() == 0
            one = two
        server.client.set("enough", 1)
        assert sender.wait(60) == 0
        assert one.stop() == 0
    assert not unacked(server.client)


SENDER = """
import itertools, sys, redis
from hanner import Client
client = redis.Redis.from_url(sys.argv[1])
more = lambda n: n % 100 or not client.exists("enough")
texts = ("马云%d" % n for n in itertools.takewhile(more, itertools.count(1)))
with Client(sys.argv[1], timeout=60) as ner:
    for document in ner.stream(texts):
        assert len(document.entities) == 1, document
"""
