"""`hanner up` and `hanner demo` as a user runs them, with the real worker and a tiny random model."""

import re
import signal
import sys

import psutil
import pytest

from hanner import Client
from support.commands import command
from support.servers import redis_server


def alone(*arguments, env=None):
    """Run with one process and no broker from outside."""
    return command(*arguments, env={"HANNER_CONCURRENCY": "1", "HANNER_BROKER_URL": "", **(env or {})})


def read_until(process, words):
    said = ""
    for line in process.stdout:
        said += line
        if words in line:
            return said
    raise AssertionError(f"{words!r} was not said:\n{said}")


def descendants(process):
    return psutil.Process(process.pid).children(recursive=True)


@pytest.fixture
def up(tiny_package, tmp_path):
    """A running `hanner up`, its address, and all processes under it."""
    with alone("up", "--data", str(tmp_path), "--model", str(tiny_package)) as process:
        said = read_until(process, "Ctrl-C stops")
        url = re.search(r"redis://\S+", said)[0]
        yield process, url, descendants(process)


def test_it_answers_and_says_how_to_call_it(up):
    _, url, processes = up
    with Client(url, timeout=20) as ner:
        assert isinstance(ner.extract("马云在杭州"), list)
    assert len(processes) >= 3  # Redis, the worker, a pool process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_it_stops_and_leaves_nothing(up, number):
    process, _, processes = up
    process.send_signal(number)
    assert "no process is left" in process.stdout.read()
    assert process.wait(30) == 0
    assert psutil.wait_procs(processes, timeout=10)[1] == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel does it on Linux only")
def test_killed_it_leaves_nothing_either(up):
    process, _, processes = up
    process.kill()
    process.wait()
    assert psutil.wait_procs(processes, timeout=30)[1] == []


def test_a_worker_that_dies_is_reported_with_its_last_lines(up):
    process, _, processes = up
    worker = next(child for child in processes if child.ppid() == process.pid and "celery" in child.cmdline())
    worker.kill()
    said = process.stdout.read()
    assert "hanner: the worker ended (code -9); its log ends:" in said
    assert process.wait(30) == 1
    assert psutil.wait_procs(processes, timeout=10)[1] == []


def test_a_worker_that_cannot_start_is_reported(tmp_path):
    with alone("up", "--data", str(tmp_path), "--model", str(tmp_path / "missing")) as process:
        said = process.stdout.read()
        assert process.wait(60) == 1
    assert "hanner: the worker did not start" in said
    assert "Traceback" not in said.partition("its log ends")[0]


def test_a_given_redis_is_used_and_left_running(tiny_package, tmp_path):
    with redis_server() as server:
        arguments = ("up", "--broker", server.url, "--data", str(tmp_path), "--model", str(tiny_package))
        with alone(*arguments, env={"CELERY_BROKER_URL": "redis://127.0.0.1:1/0"}) as process:
            assert f"{server.url} (given)" in read_until(process, "Ctrl-C stops")
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0
        assert server.client.ping()


def test_the_demo_shows_everything_and_judges_the_model(tiny_package):
    with alone("demo", "--burst", "50", "--model", str(tiny_package)) as process:
        said = process.stdout.read()
        code = process.wait(60)
    assert "3,208 characters in all" in said
    assert "50 texts of" in said
    assert "no process is left" in said
    assert "\x1b[" not in said
    assert code == 1  # a tiny model with random weights is not worth its name
    assert "did not find in the first text what everyone sees there" in said
