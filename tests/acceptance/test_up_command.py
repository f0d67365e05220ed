"""`hanner up` and `hanner demo` as a user runs them, with the real worker and a tiny random model."""

import re
import signal
import sys

import psutil
import pytest

from hanner import Client
from support.commands import command
from support.ended_processes import wait_ended
from support.ports import free_port
from support.servers import redis_server
from support.shadowing import write_shadowing_modules


def run_command(*arguments, env=None, **options):
    """Run a command with one pool process and without HANNER_BROKER_URL."""
    return command(*arguments, env={"HANNER_CONCURRENCY": "1", "HANNER_BROKER_URL": "", **(env or {})}, **options)


def run_up(folder, *arguments, **options):
    """Run `hanner up` on a free port, with its data in a folder."""
    return run_command("up", "--data", str(folder), "--port", str(free_port()), *arguments, **options)


def read_until(process, words):
    output = ""
    for line in process.stdout:
        output += line
        if words in line:
            return output
    raise AssertionError(f"{words!r} was not printed:\n{output}")


def descendants(process):
    return psutil.Process(process.pid).children(recursive=True)


@pytest.fixture
def up(tiny_package, tmp_path):
    """A running `hanner up`, its address, and all processes under it."""
    cwd = write_shadowing_modules(tmp_path)
    with run_up(tmp_path, "--model", str(tiny_package), cwd=cwd) as process:
        output = read_until(process, "Press Ctrl-C to stop")
        url = re.search(r"redis://\S+", output)[0]
        yield process, url, descendants(process)


def test_stack_answers_at_the_printed_address(up):
    _, url, processes = up
    with Client(url, timeout=60) as ner:
        assert isinstance(ner.extract("马云在杭州"), list)
    assert len(processes) >= 3  # Redis, the worker, a pool process


def test_clients_and_commands_find_the_stack(up, monkeypatch):
    _, url, _ = up
    monkeypatch.setenv("HANNER_BROKER_URL", "")
    with Client(timeout=60) as ner:
        assert ner.settings.broker_url == url
        assert isinstance(ner.extract("马云在杭州"), list)
    with run_command("doctor") as process:
        assert f"address\t{url}, of the running `hanner up`" in process.stdout.read()
    with run_command("status") as process:
        assert f"hanner at {url}" in process.stdout.read()


def test_outdated_variable_is_reported_in_one_sentence(tmp_path):
    with run_up(tmp_path, env={"HANNER_BROKER_URL": "redis://127.0.0.1:1/0"}) as process:
        output = process.stdout.read()
        assert process.wait(60) == 1
    assert re.fullmatch(
        r"Starting …\nhanner: Redis at redis://127.0.0.1:1/0 does not answer .*; or unset HANNER_BROKER_URL .*\n",
        output,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_signal_stops_all_processes(up, number):
    process, _, processes = up
    process.send_signal(number)
    assert "all processes have ended" in process.stdout.read()
    assert process.wait(60) == 0
    wait_ended(processes)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs PR_SET_PDEATHSIG of Linux")
def test_killed_command_leaves_no_process(up):
    process, _, processes = up
    process.kill()
    process.wait()
    wait_ended(processes)


def test_dead_worker_is_reported_with_its_log(up):
    process, _, processes = up
    worker = next(child for child in processes if child.ppid() == process.pid and "hanner_worker" in child.cmdline())
    worker.kill()
    output = process.stdout.read()
    assert "hanner: the worker exited (exit code -9); last lines of its log:" in output
    assert process.wait(60) == 1
    wait_ended(processes)


def test_worker_that_does_not_start_is_reported(tmp_path):
    with run_up(tmp_path, "--model", str(tmp_path / "missing")) as process:
        output = process.stdout.read()
        assert process.wait(60) == 1
    assert "hanner: the worker did not start" in output
    assert "Traceback" not in output.partition("last lines of its log")[0]


def test_given_redis_is_used_and_not_stopped(tiny_package, tmp_path):
    secret, nowhere = tmp_path / "broker-url", "http://127.0.0.1:1"
    surroundings = {"CELERY_BROKER_URL": "redis://127.0.0.1:1/0", "http_proxy": nowhere, "HTTP_PROXY": nowhere}
    with redis_server() as server:
        secret.write_text(f"{server.url}\n", encoding="utf-8")
        with run_up(
            tmp_path, "--model", str(tiny_package), env={"HANNER_BROKER_URL_FILE": str(secret), **surroundings}
        ) as process:
            assert f"{server.url} (given)" in read_until(process, "Press Ctrl-C to stop")
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0
        assert server.client.ping()


def test_demo_prints_everything_and_checks_the_model(tiny_package):
    with run_command("demo", "--burst", "50", "--model", str(tiny_package)) as process:
        output = process.stdout.read()
        code = process.wait(60)
    assert "3,208 characters in all" in output
    assert "50 texts of" in output
    assert "all processes have ended" in output
    assert "\x1b[" not in output
    assert code == 1  # a model with random weights finds other entities
    assert "did not find the expected entities" in output
