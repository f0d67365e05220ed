"""`hanner worker`, `doctor`, `bench` and `probe` as a user runs them, with the real worker and a tiny model."""

import json
import os
import re
import signal
import subprocess
import sys

import psutil
import pytest

from hanner import Client
from support.servers import redis_server
from support.shop import shop_worker
from support.workers import Worker

HANNER = [sys.executable, "-c", "from hanner.cli import main; main()"]


class HannerWorker(Worker):
    """A worker started by `hanner worker`."""

    command = (*HANNER, "worker")


@pytest.fixture(scope="module")
def server():
    with redis_server() as running:
        yield running


@pytest.fixture(scope="module")
def worker(server, tiny_package):
    running = HannerWorker(server.url, "--queue", "mine", "--model", str(tiny_package), "-c", "1", "-l", "info")
    try:
        running.wait_for("ready: model")
        yield running
    finally:
        running.close()


def hanner(*arguments, server, **env):
    return subprocess.run(
        [*HANNER, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "HANNER_BROKER_URL": server.url, **env},
        timeout=100,
        check=False,
    )


def test_the_worker_consumes_the_given_queue(server, worker):
    with Client(server.url, queue="mine", timeout=60) as ner:
        assert isinstance(ner.extract("马云在杭州"), list)


def test_the_worker_restarts_on_sighup(server, worker):
    before = sum("ready: model" in line for line in worker.lines)
    worker.process.send_signal(signal.SIGHUP)
    worker.wait_for("ready: model", times=before + 1)
    with Client(server.url, queue="mine", timeout=60) as ner:
        assert isinstance(ner.extract("马云在杭州"), list)
    assert worker.process.poll() is None


def test_the_doctor_finds_no_problem(server, worker, tiny_package):
    result = hanner(
        "doctor", "--json", "--timeout", "30", server=server, HANNER_QUEUE="mine", HANNER_MODEL=str(tiny_package)
    )
    findings = json.loads(result.stdout)
    assert [finding for finding in findings if finding["level"] == "fail"] == []
    assert result.returncode == 0, result.stdout
    found = {finding["subject"]: finding["message"] for finding in findings}
    assert found["worker"].startswith("hanner-")
    assert "tiny" in found["worker"]
    assert re.fullmatch(r"a test text was answered in \d+ ms", found["result"])
    assert {"Python", "extras", "variables", "settings", "processor", "model", "engine", "TLS", "Redis"} <= found.keys()
    assert {"eviction", "memory", "persistence", "clock", "queue"} <= found.keys()


def test_the_doctor_finds_wrong_settings_and_missing_workers(server, worker, tiny_package):
    wrong = {"HANNER_MODEL": str(tiny_package), "HANNER_QUEUE": "unserved", "HANNER_TIMEOUTS": "5"}
    result = hanner("doctor", "--timeout", "0.3", server=server, **wrong)
    assert result.returncode == 1
    rows = [line.split("\t") for line in result.stdout.splitlines()]
    assert {len(row) for row in rows} == {4}
    problems = {row[1]: row for row in rows if row[0] != "ok"}
    assert problems["variables"][3] == "did you mean HANNER_TIMEOUT?"
    assert problems["workers"][2] == "no worker serves queue 'unserved'"
    assert problems["result"][0] == "fail"


def test_the_doctor_reports_an_unreachable_redis(server):
    result = hanner("doctor", server=server, HANNER_BROKER_URL="redis://127.0.0.1:1/0")
    assert result.returncode == 1
    last = result.stdout.splitlines()[-1].split("\t")
    assert last[:2] == ["fail", "Redis"]
    assert "hanner up" in last[3]


def test_the_bench_measures_the_queue(server, worker):
    result = hanner("bench", "--seconds", "0.5", "--json", server=server, HANNER_QUEUE="mine")
    assert result.returncode == 0, result.stderr
    measured = json.loads(result.stdout)
    assert measured["what"] == "queue"
    assert measured["model"].startswith("tiny")
    assert measured["texts"] > 0
    assert measured["failed"] == 0


def test_the_bench_measures_the_model(server, tiny_package):
    result = hanner("bench", "--local", "--seconds", "0.2", server=server, HANNER_MODEL=str(tiny_package))
    measured = dict(line.split("\t") for line in result.stdout.splitlines())
    assert measured["what"] == "local"
    assert float(measured["texts_per_second"]) > 0


def test_the_worker_stops_on_sigterm(server, tiny_package):
    running = HannerWorker(server.url, "--model", str(tiny_package), "-c", "1", "--", "--without-heartbeat")
    try:
        running.wait_for("ready: model")
        running.process.send_signal(signal.SIGTERM)
        assert running.wait(60) == 0
    finally:
        running.close()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--broker", "amqp://h"], "broker_url cannot be used"),
        (["--queue", ""], 'queue is "", but must not be empty'),
    ],
)
def test_invalid_options_are_reported_in_one_line(arguments, words, server):
    result = hanner("worker", *arguments, server=server)
    assert result.returncode in {1, 2}
    assert words in result.stderr
    assert "Traceback" not in result.stderr


def test_a_probe_succeeds_without_using_the_queue(server, worker):
    before = worker.output
    result = hanner("probe", "--timeout", "30", server=server, HANNER_QUEUE="mine")
    assert (result.returncode, result.stderr) == (0, "")
    assert re.fullmatch(r"hanner-\d+@\S+ answers, \d+ ms\n", result.stdout)
    assert "batch 1" not in worker.output.removeprefix(before)


def test_a_probe_reports_a_missing_worker_and_an_unreachable_redis(server, worker):
    result = hanner("probe", "--host", "nowhere", "--timeout", "0.3", server=server)
    assert (result.returncode, result.stdout) == (1, "")
    assert "no worker on nowhere answers" in result.stderr
    result = hanner("probe", "--broker", "redis://:geheim@127.0.0.1:1/0", server=server)
    assert result.returncode == 1
    assert "Redis does not answer at redis://:**@127.0.0.1:1/0" in result.stderr


def test_commands_leave_the_workers_of_other_apps_alone(server, worker, tiny_package):
    with shop_worker(server.url, cold=True) as shop:  # a process of the fork server has imported hanner's commands
        for _ in range(5):  # the other app's worker would be the first to answer in some of them
            assert hanner("probe", "--timeout", "30", server=server, HANNER_QUEUE="mine").returncode == 0
        environment = {"HANNER_QUEUE": "mine", "HANNER_MODEL": str(tiny_package)}
        found = json.loads(hanner("doctor", "--json", "--timeout", "30", server=server, **environment).stdout)
    assert "hanner_" not in shop.output
    assert len([finding for finding in found if finding["subject"] == "worker"]) == 1


def test_a_probe_fails_if_the_process_hangs(server, worker):
    process = psutil.Process(worker.process.pid).children()[0]
    process.suspend()
    try:
        result = hanner("probe", "--timeout", "1", server=server)
    finally:
        process.resume()
    assert result.returncode == 1
    assert "none of its processes answered in time" in result.stderr
    assert hanner("probe", "--timeout", "30", server=server).returncode == 0
