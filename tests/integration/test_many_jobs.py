"""Ten thousand pending jobs: one connection listens for all of them, and none is polled."""

import asyncio
import json

from hanner import AsyncClient, Client
from support.stub_worker import success
from support.waiting import wait_until

JOBS = 10_000
ANSWER = json.dumps(success({"entities": [], "model": "m@0"}))


def store_all(server, ids):
    """Store and publish results as a worker does, in one round trip."""
    with server.client.pipeline(transaction=False) as pipeline:
        for task_id in ids:
            pipeline.set(f"celery-task-meta-{task_id}", ANSWER, ex=3600)
            pipeline.publish(f"celery-task-meta-{task_id}", ANSWER)
        pipeline.execute()


def connections(server):
    """Return all connections but the test's own."""
    own = server.client.client_id()
    return [client for client in server.client.client_list() if int(client["id"]) != own]


def subscriptions(server):
    return [int(client["sub"]) for client in connections(server) if int(client["sub"])]


def test_event_loop_awaits_ten_thousand_jobs_on_one_connection(server):
    ids = [f"job-{number}" for number in range(JOBS)]

    async def body():
        async with AsyncClient(server.url, timeout=120) as ner:
            waiting = [asyncio.ensure_future(ner.job(task_id).result()) for task_id in ids]
            while await asyncio.to_thread(subscriptions, server) != [JOBS + 1]:  # one is the connection's own channel
                pass
            assert len(connections(server)) == 2  # one listens, one reads results that were stored before
            await asyncio.to_thread(store_all, server, ids)
            return await asyncio.gather(*waiting)

    assert asyncio.run(body()) == [[]] * JOBS


def test_blocking_client_awaits_ten_thousand_jobs_on_one_connection(server):
    ids = [f"job-{number}" for number in range(JOBS)]
    with Client(server.url, timeout=120) as ner:
        listener = ner._sender.connection.listener
        futures = [listener.subscribe(task_id) for task_id in ids]
        wait_until(lambda: subscriptions(server) == [JOBS + 1])
        assert len(connections(server)) <= 2  # the second one opens with the first read
        store_all(server, ids)
        assert [future.result(120)["result"]["entities"] for future in futures] == [[]] * JOBS


def test_requests_sent_together_share_commands(server, worker):
    """Many requests share one push, and the channel of their client."""

    async def body():
        async with AsyncClient(server.url, timeout=60) as ner:
            await ner.extract("马云")
            worker.hold()
            server.client.config_resetstat()
            waiting = [asyncio.ensure_future(ner.extract("马云")) for _ in range(320)]
            await asyncio.to_thread(worker.wait_for, 321, 60)
            commands = server.client.info("commandstats")
            worker.release()
            await asyncio.gather(*waiting)
            return commands

    commands = asyncio.run(body())
    ours = {name: commands[f"cmdstat_{name}"]["calls"] for name in ("lpush", "evalsha", "subscribe", "mget", "llen")
            if f"cmdstat_{name}" in commands}  # fmt: skip
    assert sum(ours.values()) <= 320, ours
    assert not {"subscribe", "mget"} & ours.keys()


def test_stored_results_are_read_without_a_subscription(server, worker):
    with Client(server.url, timeout=60) as ner:
        jobs = [ner.submit("马云") for _ in range(20)]
        worker.wait_for(20)
        wait_until(jobs[-1].done)
        server.client.config_resetstat()
        again = [ner.job(job.id) for job in jobs]
        assert [job.result()[0].text for job in again] == ["马云"] * 20
        commands = server.client.info("commandstats")
    assert commands["cmdstat_get"]["calls"] == 20
    assert "cmdstat_subscribe" not in commands
