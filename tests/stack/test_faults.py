"""No text is lost when a worker is killed or stopped, or Redis is killed or restarted, under load."""

import itertools
import threading
import urllib.error

import pytest

from hanner import Client
from hanner.queue.keys import QueueKeys
from support.docker_stack import run
from support.waiting import wait_until

TEXTS = 2_000


@pytest.fixture
def two_workers(stack):
    stack.compose("up", "--detach", "--no-recreate", "--scale", "worker=2")
    stack.wait_healthy("worker")
    yield stack.containers("worker")
    stack.compose("up", "--detach", "--scale", "worker=1")
    stack.wait_healthy("redis", "worker", "gateway", "flower")


def under_load(stack, fault):
    """Stream texts with the client, run `fault` in the middle, and return all documents."""
    happened = threading.Event()
    problems = []

    def run_fault():
        try:
            fault()
        except BaseException as error:  # noqa: BLE001 - asserted below
            problems.append(error)
        finally:
            happened.set()

    def texts():
        for number in itertools.count():
            if number >= TEXTS and happened.is_set():
                return
            yield f"第{number}次，马云在杭州发表演讲。"

    documents, thread = [], threading.Thread(target=run_fault)
    with Client(stack.broker_url(), timeout=120) as ner:
        for document in ner.stream(texts()):
            documents.append(document)
            if len(documents) == TEXTS // 4:
                thread.start()
    thread.join()
    assert problems == []
    return documents


def assert_nothing_is_lost(documents):
    assert len(documents) >= TEXTS
    assert [document.error for document in documents if document.error] == []
    assert all(any(entity.text == "马云" for entity in document.entities) for document in documents)
    assert [document.text for document in documents] == [
        f"第{number}次，马云在杭州发表演讲。" for number in range(len(documents))
    ]


def test_killed_worker_loses_no_text(stack, two_workers):
    documents = under_load(stack, lambda: run("docker", "kill", two_workers[0]))
    assert_nothing_is_lost(documents)


def test_restarted_redis_loses_no_text(stack):
    documents = under_load(stack, lambda: stack.compose("restart", "redis"))
    assert_nothing_is_lost(documents)
    stack.wait_healthy("redis", "worker", "gateway", "flower")


def test_killed_redis_loses_no_text(stack):
    redis = stack.container("redis")

    def fault():
        run("docker", "kill", redis)
        run("docker", "start", redis)

    assert_nothing_is_lost(under_load(stack, fault))
    stack.wait_healthy("redis", "worker", "gateway", "flower")


def test_stopped_worker_exits_with_0_and_loses_no_text(stack, two_workers):
    documents = under_load(stack, lambda: run("docker", "stop", "--time", "60", two_workers[0]))
    assert_nothing_is_lost(documents)
    assert run("docker", "inspect", "--format", "{{.State.ExitCode}}", two_workers[0]).stdout.strip() == "0"


SIGNAL_POOL = """
import os, signal, sys
for pid in filter(str.isdigit, os.listdir("/proc")):
    is_worker = b"hanner_worker" in open(f"/proc/{pid}/cmdline", "rb").read()
    if is_worker and open(f"/proc/{pid}/stat").read().rsplit(") ", 1)[1].split()[1] not in ("0", "1"):
        os.kill(int(pid), getattr(signal, sys.argv[1]))
"""


def test_worker_with_hanging_processes_is_unhealthy(stack):
    worker = stack.container("worker")
    run("docker", "exec", worker, "python", "-c", SIGNAL_POOL, "SIGSTOP")
    try:
        done = run("docker", "exec", worker, "hanner", "probe", "--timeout", "3", check=False)
    finally:
        run("docker", "exec", worker, "python", "-c", SIGNAL_POOL, "SIGCONT")
    assert done.returncode == 1
    assert "none of its processes answered in time" in done.stderr
    assert run("docker", "exec", worker, "hanner", "probe", "--timeout", "20").returncode == 0


def test_worker_that_hangs_is_started_again(stack):
    stack.compose("up", "--detach", "--no-deps", "worker", env={"HANNER_HANG_TIMEOUT": "20"})
    stack.wait_healthy("worker")
    worker = stack.container("worker")
    try:
        run("docker", "exec", worker, "python", "-c", SIGNAL_POOL, "SIGSTOP")
        wait_until(lambda: stack.inspect("worker")[0]["RestartCount"] == 1, 120)
        stack.wait_healthy("worker")
        with Client(stack.broker_url(), timeout=60) as ner:
            assert ner.extract("马云在杭州")[0].text == "马云"
        assert "no process of this worker has answered for" in run("docker", "logs", worker).stderr
    finally:
        stack.compose("up", "--detach", "--no-deps", "worker")
        stack.wait_healthy("worker")


@pytest.mark.parametrize("kill", [False, True], ids=["restart", "kill"])
def test_results_jobs_and_dead_letters_outlive_redis(stack, kill):
    redis, keys = stack.container("redis"), QueueKeys("hanner")
    add_dead_letter = "redis.call('HSET', KEYS[1], 'an-id', 'a letter') redis.call('ZADD', KEYS[2], 9e9, 'an-id')"
    with Client(stack.broker_url(), timeout=120) as ner:
        answered = [ner.submit(f"第{number}次，马云在杭州。") for number in range(50)]
        before = [job.result() for job in answered]
        finished = stack.create_job(["马云在杭州。"] * 20)
        wait_until(lambda: stack.job(finished)["state"] == "done")
        stack.admin("EVAL", add_dead_letter, "2", keys.dead, keys.dead_index)
        running = stack.create_job([f"第{number}次，马云在杭州发表演讲。" for number in range(5_000)])
        wait_until(lambda: stack.job(running)["done"] > 0)

        if kill:
            run("docker", "kill", redis)
            run("docker", "start", redis)
        else:
            stack.compose("restart", "redis")

        wait_until(lambda: stack.job(finished)["documents"][-1]["entities"], 120, ignore=urllib.error.URLError)
        assert [ner.job(job.id).result() for job in answered] == before
        assert stack.admin("HGET", keys.dead, "an-id").strip() == "a letter"
        assert stack.admin("ZCARD", keys.dead_index).strip() == "1"
        wait_until(lambda: stack.job(running)["state"] == "done", 120, ignore=urllib.error.URLError)
        end = stack.job(running)
        assert (end["failed"], len(end["documents"])) == (0, 5_000)
        assert all(document["entities"] for document in end["documents"])
        stack.admin("DEL", keys.dead, keys.dead_index)
    assert "CRITICAL" not in stack.compose("logs", "--no-color", "redis")
    stack.wait_healthy("redis", "worker", "gateway", "flower")
