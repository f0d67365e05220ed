"""`hanner worker` with several addresses in HANNER_BROKER_URL: one worker for each, with one model."""

import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from contextlib import contextmanager, suppress

import psutil
import pytest

from hanner import Client
from hanner.utils.processes import check_port
from support.ports import free_port
from support.scrapes import scrape
from support.servers import redis_server
from support.waiting import wait_until
from support.workers import Worker, until_closed

HANNER = [sys.executable, "-c", "from hanner.cli import main; main()"]
TEXT = "马云在杭州"


class HannerWorker(Worker):
    """A worker started by `hanner worker`."""

    command = (*HANNER, "worker")


@contextmanager
def group(servers, package, *options, **env):
    """Run a worker of several servers with the tiny model, and wait until it serves all of them."""
    url = ",".join(each.url for each in servers)
    arguments = ("--model", str(package), "-c", "1", *options)
    with until_closed(HannerWorker(url, *arguments, env={"HANNER_LEASE": "1", **env}), None) as running:
        running.wait_for("ready: model", times=len(servers))
        yield running


@pytest.fixture(scope="module")
def servers():
    with redis_server() as one, redis_server() as two:
        yield one, two


@pytest.fixture(scope="module")
def ports():
    """Two ports, one after the other: the worker of the second address has the next port for its metrics."""
    while True:
        first = free_port()
        with suppress(OSError):
            check_port("127.0.0.1", first + 1)
            return first, first + 1


@pytest.fixture(scope="module")
def worker(servers, tiny_package, ports):
    with group(servers, tiny_package, HANNER_METRICS_PORT=str(ports[0])) as running:
        yield running


@pytest.fixture
def ner(servers):
    with Client(",".join(each.url for each in servers), timeout=120) as client:
        yield client


def hanner(*arguments, urls, **env):
    return subprocess.run(
        [*HANNER, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "HANNER_BROKER_URL": ",".join(urls), **env},
        timeout=100,
        check=False,
    )


def members(running):
    """Return the workers of a group."""
    return psutil.Process(running.process.pid).children()


def answered(servers):
    """Return how many results each server has."""
    return [len(each.client.keys("celery-task-meta-*")) for each in servers]


def wait_until_one_worker(metrics, broker):
    """Wait until the metrics have a worker; a busy machine delays some heartbeats beyond the short lease."""
    wait_until(lambda: scrape(metrics).value("hanner_queue_workers", queue="hanner", broker=broker) == 1)


def test_one_worker_serves_all_addresses(servers, worker, ner):
    before = answered(servers)
    jobs = [ner.submit(TEXT) for _ in range(20)]
    for job in jobs:
        assert isinstance(job.result(), list)
    # the client may prefer one address for a while, such as when a worker's lease was renewed late
    wait_until(
        lambda: (
            isinstance(ner.extract(TEXT), list)
            and all(after - count >= 10 for after, count in zip(answered(servers), before, strict=True))
        )
    )
    assert len(members(worker)) == 2
    for each in servers:
        assert f"{each.url}: ready: model" in worker.output


def test_metrics_of_each_address(servers, worker, ports):
    for server, port in zip(servers, ports, strict=True):
        wait_until_one_worker(f"127.0.0.1:{port}", server.url)
        assert scrape(f"127.0.0.1:{port}").value("hanner_worker_processes") == 1


def test_probe_checks_the_worker_of_each_address_that_answers(servers, worker):
    dead = f"redis://127.0.0.1:{free_port()}/0"
    result = hanner("probe", "--timeout", "60", urls=[servers[0].url, servers[1].url])
    assert result.returncode == 0, result.stderr
    result = hanner("probe", "--timeout", "60", urls=[servers[0].url, dead])
    assert result.returncode == 0, result.stderr
    assert f"Redis does not answer at {dead}" in result.stderr
    assert hanner("probe", "--timeout", "60", urls=[dead, dead.replace("/0", "/1")]).returncode == 1


def test_doctor_sends_a_text_through_each_address(servers, worker, tiny_package):
    result = hanner("doctor", "--timeout", "60", urls=[each.url for each in servers], HANNER_MODEL=str(tiny_package))
    assert result.returncode == 0, result.stdout
    for each in servers:
        assert f"ok\tresult\t{each.url}: a test text was answered in " in result.stdout


def test_killed_worker_is_started_again_and_its_texts_are_answered(servers, worker, ner):
    killed = members(worker)[0]
    jobs = [ner.submit(TEXT) for _ in range(10)]
    killed.kill()
    worker.wait_for("was killed by SIGKILL; it is started again in 1 s")
    jobs += [ner.submit(TEXT) for _ in range(10)]
    for job in jobs:
        assert isinstance(job.result(), list)
    assert killed not in members(worker)


def test_sighup_restarts_all_workers(servers, worker, ner):
    before = sum("ready: model" in line for line in worker.lines)
    worker.process.send_signal(signal.SIGHUP)
    worker.wait_for("ready: model", times=before + 2)
    for job in [ner.submit(TEXT) for _ in range(4)]:
        assert isinstance(job.result(), list)
    assert worker.process.poll() is None


def test_killed_redis_delays_only_its_texts(tiny_package):
    """Under load, with a second of the lease: no text is lost, and none is answered twice."""
    with redis_server() as one, redis_server() as two, group((one, two), tiny_package) as running:
        ids, failures = [], []
        with Client(f"{one.url},{two.url}", timeout=120) as ner:
            stop = threading.Event()

            def send():
                jobs = []
                while not stop.is_set():
                    jobs.append(ner.submit(TEXT))
                    if len(jobs) % 20 == 0:
                        stop.wait(0.05)
                for job in jobs:
                    ids.append(job.id)
                    try:
                        job.result()
                    except Exception as error:  # noqa: BLE001 - the test shows it
                        failures.append((job.id, error))

            threads = [threading.Thread(target=send) for _ in range(2)]
            for thread in threads:
                thread.start()
            wait_until(lambda: min(answered((one, two))) > 20)
            two.stop(kill=True)
            count = answered((one,))[0]
            wait_until(lambda: answered((one,))[0] > count + 100)
            two.start()
            count = len(two.client.keys("celery-task-meta-*"))
            wait_until(lambda: answered((two,))[0] > count + 20)
            stop.set()
            for thread in threads:
                thread.join(180)
        assert not failures
        assert len(ids) == len(set(ids)) > 140
        results = Counter(key for each in (one, two) for key in each.client.keys("celery-task-meta-*"))
        assert set(results.values()) == {1}
        assert {f"celery-task-meta-{task_id}" for task_id in ids} <= set(results)
        assert running.stop() == 0


def test_address_that_is_down_at_the_start_is_served_later_and_workers_end_with_their_parent(tiny_package):
    with redis_server() as one, redis_server() as two:
        two.stop()
        with until_closed(
            HannerWorker(f"{one.url},{two.url}", "--model", str(tiny_package), "-c", "1"), None
        ) as running:
            running.wait_for(f"{one.url}: ready: model")
            with Client(f"{one.url},{two.url}", timeout=120) as ner:
                assert isinstance(ner.extract(TEXT), list)
                two.start()
                running.wait_for(f"{two.url}: ready: model")
                while not answered((two,))[0]:
                    assert isinstance(ner.extract(TEXT), list)
            workers = members(running)
            running.process.kill()
            psutil.wait_procs(workers, timeout=120)
            assert not any(each.is_running() for each in workers)


def test_workers_of_which_none_starts_end_the_command(servers, tiny_package):
    urls = [each.url for each in servers]
    result = hanner("worker", "--", "--nonsense", urls=urls, HANNER_MODEL=str(tiny_package))
    assert result.returncode == 2
    assert result.stderr.count("No such option") == 2
