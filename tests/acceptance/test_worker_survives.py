"""The real worker loses nothing when processes die, time limits pass, Redis is unreachable, or it is stopped."""

import json
import os
import signal

import psutil
import pytest

from support.occupied_process import occupied_process
from support.servers import redis_server
from support.workers import SHORT_LEASE, Events, foreign_app, found, pad_text, runs, unacked, worker


def nothing_is_left(client):
    return not unacked(client) and not client.exists("unacked", "hanner", "hanner:hanner:crashes")


def error_of(result):
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the app has no class for it
        result.get(timeout=60)
    return type(caught.value).__name__


def send_control(command, *args):
    """Send a remote control command until the worker replies."""
    for _ in range(30):
        if answered := command(*args, reply=True, limit=1, timeout=1):
            assert "ok" in next(iter(answered[0].values()))
            return
    pytest.fail("no reply to the remote control command")


def names_of_queue(client):
    return [json.loads(message)["headers"]["id"] for message in client.lrange("hanner", 0, -1)]


def test_every_request_of_a_killed_process_is_answered(server, app, events):
    with worker(server.url, "-c", "1"):
        with occupied_process(app, server, events) as send:
            results = send(*map(pad_text, ("马云一", "马云二", "!die-once:x")))
        assert [found(result) for result in results] == [1, 1, 0]
        assert server.client.llen("deaths") == 1
        # Each request is retried alone.
        assert [len(run) for run in runs(server.client)] == [1, 3, 1, 1, 1]
        events.wait_for(lambda e: e.of(results[0].id).count("task-started") == 2)
        started = [e for e in events.seen if e["type"] == "task-started" and e["uuid"] == results[0].id]
        # The exit is detected at once, and not by Celery's timer, which checks every five seconds.
        assert started[1]["local_received"] - started[0]["local_received"] < 4


def test_a_text_that_kills_three_processes_becomes_a_dead_letter_and_the_others_are_answered(server, app, events):
    with worker(server.url, "-c", "1") as running:
        with occupied_process(app, server, events) as send:
            one, poison, two = send(*map(pad_text, ("马云一", "!die:x", "马云二")))
        assert (found(one), found(two), error_of(poison)) == (1, 1, "WorkerLost")
        assert server.client.llen("deaths") == 3
        events.wait_for(lambda e: "task-failed" in e.of(poison.id))
        assert events.of(poison.id).count("task-started") == 3
        assert found(app.send_task("hanner.extract", ["马云三"])) == 1
        letter = json.loads(server.client.hget("hanner:hanner:dead", poison.id))
        assert (letter["id"], letter["task"], letter["code"]) == (poison.id, "hanner.extract", "worker_lost")
        assert letter["crashes"] == 3
        assert json.loads(letter["message"])["headers"]["id"] == poison.id
        assert server.client.zscore("hanner:hanner:dead:index", poison.id) == letter["at"]
        assert running.stop() == 0
    assert nothing_is_left(server.client)


def test_terminating_one_request_does_not_affect_its_batch(server, app, events):
    with worker(server.url, "-c", "1"):
        with occupied_process(app, server, events) as send:
            victim, neighbour = send(pad_text("!wait:victim"), pad_text("马云一"))
        assert server.client.blpop(["waiting"], timeout=60)
        events.wait_for(lambda e: "task-started" in e.of(neighbour.id))
        app.control.revoke(victim.id, terminate=True)
        assert error_of(victim) == "TaskRevokedError"
        assert found(neighbour) == 1
        events.wait_for(lambda e: "task-revoked" in e.of(victim.id))


def test_a_hard_time_limit_hits_only_the_request_that_breaks_it(server, app, events):
    with worker(server.url, "-c", "1"):
        with occupied_process(app, server, events) as send:
            (slow,) = send(pad_text("!wait:slow"), time_limit=1)
            (quick,) = send(pad_text("马云一"))
        assert found(quick) == 1
        assert error_of(slow) == "TimedOut"
        assert [len(run) for run in runs(server.client)] == [1, 2, 1, 1, 1]
        letter = json.loads(server.client.hget("hanner:hanner:dead", slow.id))
        assert (letter["code"], letter["crashes"]) == ("timed_out", 3)
        events.wait_for(lambda e: "task-failed" in e.of(slow.id))
        assert events.of(slow.id).count("task-failed") == 1


def test_a_soft_time_limit_hits_only_the_request_that_breaks_it(server, app, events):
    with worker(server.url, "-c", "1"):
        with occupied_process(app, server, events) as send:
            (slow,) = send(pad_text("!wait:slow"), soft_time_limit=1)
            (quick,) = send(pad_text("马云一"))
        assert found(quick) == 1
        assert error_of(slow) == "TimedOut"


def test_requests_of_a_killed_worker_are_answered_by_the_next(server, app, events):
    with worker(server.url, "-c", "1", env=SHORT_LEASE) as first:
        running = app.send_task("hanner.extract", ["!wait:gate"])
        assert server.client.blpop(["waiting"], timeout=60)
        waiting = app.send_task("hanner.extract", ["马云一"])
        events.wait_for(lambda e: "task-received" in e.of(waiting.id))
        os.killpg(first.process.pid, signal.SIGKILL)
        first.wait()
    assert len(unacked(server.client)) == 2
    assert not server.client.exists(f"celery-task-meta-{running.id}")
    with worker(server.url, "-c", "1", env=SHORT_LEASE) as second:
        assert server.client.blpop(["waiting"], timeout=60)
        server.client.rpush("gate", 1)
        assert (found(running), found(waiting)) == (0, 1)
        assert second.stop() == 0
    assert nothing_is_left(server.client)


def test_pool_processes_that_die_at_the_same_moment_are_replaced(server, app):
    with worker(server.url, "-c", "3") as running:
        assert found(app.send_task("hanner.extract", ["马云一"])) == 1  # the event loop runs
        for _ in range(5):
            parent = psutil.Process(running.process.pid)
            parent.suspend()  # so that it gets all exits in one turn of its event loop
            for child in parent.children():
                child.kill()
            parent.resume()
            assert found(app.send_task("hanner.extract", ["马云一"])) == 1


def test_a_warm_shutdown_finishes_running_batches_and_requeues_the_rest(server, app, events):
    with worker(server.url, "-c", "1") as running:
        busy = app.send_task("hanner.extract", ["!wait:gate"])
        assert server.client.blpop(["waiting"], timeout=60)
        waiting = [app.send_task("hanner.extract", [f"马云{n}"]) for n in range(5)]
        for result in waiting:
            events.wait_for(lambda e, result=result: "task-received" in e.of(result.id))
        running.process.terminate()
        running.wait_for("Warm shutdown")
        server.client.rpush("gate", 1)
        assert running.wait() == 0
    assert found(busy) == 0
    assert sorted(names_of_queue(server.client)) == sorted(result.id for result in waiting)
    assert not unacked(server.client)


def cut(server, known):
    """Close every connection that was opened after those of `known`."""
    for connection in server.client.client_list():
        if connection["id"] not in known:
            server.client.client_kill_filter(_id=connection["id"])


def test_after_a_lost_connection_all_texts_are_answered_and_none_runs_twice(server, app, events):
    known = {connection["id"] for connection in server.client.client_list()}
    with worker(server.url, "-c", "1") as running:
        busy = app.send_task("hanner.extract", ["!wait:gate"])
        assert server.client.blpop(["waiting"], timeout=60)
        waiting = app.send_task("hanner.extract", ["马云一"])
        events.wait_for(lambda e: "task-received" in e.of(waiting.id))
        cut(server, known)
        running.wait_for("Connection to broker lost")
        running.wait_for("Connected to", times=2)
        events.wait_for(lambda e: e.of(waiting.id).count("task-received") == 2)
        server.client.rpush("gate", 1)
        with foreign_app(server.url) as fresh:  # Celery's own client may miss results after its cut
            assert [found(fresh.AsyncResult(result.id)) for result in (busy, waiting)] == [0, 1]
            assert runs(server.client) == [[len("!wait:gate")], [3]]
            after = [fresh.send_task("hanner.extract", ["马云二"]) for _ in range(4)]
            assert [found(result) for result in after] == [1] * 4
        assert running.stop() == 0
        assert "DeprecationWarning" not in running.output  # Celery's advice about a setting without effect
    assert nothing_is_left(server.client)


def test_a_restart_of_redis_loses_nothing():
    with redis_server(persistent=True) as server, foreign_app(server.url) as app:
        with worker(server.url, "-c", "1") as running:
            with Events(app) as events, occupied_process(app, server, events) as send:
                waiting = send("马云一", "马云二", "马云三")
                (busy,) = send("!wait:second")
                server.client.rpush("gate", 1)
                assert server.client.blpop(["waiting"], timeout=60)
                more = [app.send_task("hanner.extract", ["马云四"]) for _ in range(3)]
                for result in more:
                    events.wait_for(lambda e, result=result: "task-received" in e.of(result.id))
            server.stop(kill=True)
            running.wait_for("Connection to broker lost")
            server.start()
            running.wait_for("Connected to", times=2)
            server.client.rpush("second", 1)
            with foreign_app(server.url) as fresh:  # Celery's own client may miss results after a restart
                assert [found(fresh.AsyncResult(each.id)) for each in [busy, *waiting, *more]] == [0, *[1] * 6]
            assert running.stop() == 0
        assert nothing_is_left(server.client)


def test_pool_restart_keeps_queued_requests(server, app, events):
    with worker(server.url, "-c", "1", env={"FAKE_RESTARTS": "1"}):
        with occupied_process(app, server, events) as send:
            (waiting,) = send("马云一")
            send_control(app.control.pool_restart)
        assert found(waiting) == 1


def test_a_pool_that_grows_and_shrinks_is_used(server, app, events):
    with worker(server.url, "-c", "1"):
        send_control(app.control.pool_grow, 1)
        with occupied_process(app, server, events, "one"):
            with occupied_process(app, server, events, "two"):
                waiting = app.send_task("hanner.extract", ["马云一"])
                events.wait_for(lambda e: "task-received" in e.of(waiting.id))
                assert "task-started" not in events.of(waiting.id)
            assert found(waiting) == 1
        send_control(app.control.pool_shrink, 1)
        assert found(app.send_task("hanner.extract", ["马云二"])) == 1
