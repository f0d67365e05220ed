"""What the stack outlives: a worker killed under load, Redis restarted, a worker told to stop."""

import itertools
import threading

import pytest

from hanner import Client
from support.docker_stack import run

TEXTS = 2_000


@pytest.fixture
def two_workers(stack):
    stack.compose("up", "--detach", "--no-recreate", "--scale", "worker=2")
    stack.wait_healthy("worker")
    yield stack.containers("worker")
    stack.compose("up", "--detach", "--scale", "worker=1")
    stack.wait_healthy("redis", "worker", "gateway", "flower")


def under_load(stack, fault):
    """Stream texts through the client, let `fault` happen in the middle, and return every document."""
    happened = threading.Event()
    problems = []

    def happen():
        try:
            fault()
        except BaseException as error:  # noqa: BLE001 - told to the test below
            problems.append(error)
        finally:
            happened.set()

    def texts():
        for number in itertools.count():
            if number >= TEXTS and happened.is_set():
                return
            yield f"第{number}次，马云在杭州发表演讲。"

    documents, thread = [], threading.Thread(target=happen)
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


def test_a_worker_container_killed_under_load_loses_nothing(stack, two_workers):
    documents = under_load(stack, lambda: run("docker", "kill", two_workers[0]))
    assert_nothing_is_lost(documents)


def test_redis_restarted_under_load_loses_nothing(stack):
    documents = under_load(stack, lambda: stack.compose("restart", "redis"))
    assert_nothing_is_lost(documents)
    stack.wait_healthy("redis", "worker", "gateway", "flower")


def test_redis_killed_under_load_loses_nothing(stack):
    redis = stack.container("redis")

    def fault():
        run("docker", "kill", redis)
        run("docker", "start", redis)

    assert_nothing_is_lost(under_load(stack, fault))
    stack.wait_healthy("redis", "worker", "gateway", "flower")


def test_a_worker_told_to_stop_ends_by_itself(stack, two_workers):
    documents = under_load(stack, lambda: run("docker", "stop", "--time", "60", two_workers[0]))
    assert_nothing_is_lost(documents)
    assert run("docker", "inspect", "--format", "{{.State.ExitCode}}", two_workers[0]).stdout.strip() == "0"


def test_a_worker_whose_processes_hang_is_unhealthy(stack):
    worker = stack.container("worker")
    frozen = "import os, signal, sys; [os.kill(int(p), getattr(signal, sys.argv[1])) for p in pool]"
    pool = (
        "pool = [p for p in os.listdir('/proc') if p.isdigit() and b'celery' in open(f'/proc/{p}/cmdline', 'rb').read()"
        " and open(f'/proc/{p}/stat').read().rsplit(') ', 1)[1].split()[1] not in ('0', '1')]"
    )
    program = f"import os\n{pool}\n{frozen}"
    run("docker", "exec", worker, "python", "-c", program, "SIGSTOP")
    try:
        done = run("docker", "exec", worker, "hanner", "probe", "--timeout", "3", check=False)
    finally:
        run("docker", "exec", worker, "python", "-c", program, "SIGCONT")
    assert done.returncode == 1
    assert "no process of it answered a text in time" in done.stderr
    assert run("docker", "exec", worker, "hanner", "probe", "--timeout", "20").returncode == 0
