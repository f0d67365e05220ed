"""Every command and both ways to start a worker, in the environment and the folder of another Celery app."""

import contextlib
import json
import os
import subprocess
import sys

import pytest

from hanner import Client
from support.flowers import flower
from support.ports import free_port
from support.servers import redis_server
from support.shadowing import write_shadowing_modules
from support.waiting import wait_until
from support.workers import Worker, until_closed

HANNER = [sys.executable, "-P", "-c", "from hanner.cli import main; main()"]
CELERY = [sys.executable, "-P", "-m", "celery"]
"""With -P as the installed scripts: they do not search the working folder for modules."""
TEXT = "马云在杭州"
TWO_CLIENTS = f"""
import asyncio
from hanner import AsyncClient, Client
with Client() as ner:
    assert isinstance(ner.extract("{TEXT}", timeout=60), list)
    print(len(list(ner.stream(["{TEXT}"] * 3, timeout=60))), ner.backlog().workers[0].model)
async def main():
    async with AsyncClient() as ner:
        assert isinstance(await ner.extract("{TEXT}", timeout=60), list)
asyncio.run(main())
"""


class HannerWorker(Worker):
    """A worker started by `hanner worker`."""

    command = (*HANNER, "worker")


def hostile(url):
    """Return the variables of an app whose Celery uses other databases, and whose modules do not exist here."""
    theirs, results = url.replace("/0", "/1"), url.replace("/0", "/2")
    names = ("CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL", "CELERY_BROKER", "BROKER_URL")
    return {
        **dict.fromkeys(names, theirs),
        **dict.fromkeys(("CELERY_RESULT_BACKEND", "RESULT_BACKEND"), results),
        **dict.fromkeys(("CELERY_CONFIG_MODULE", "CELERY_CONFIG", "CONFIG_MODULE"), "no_such_package.celeryconfig"),
        **dict.fromkeys(("CELERY_LOADER", "LOADER"), "no_such_package.loader:Loader"),
        **dict.fromkeys(("CELERY_APP", "APP"), "no_such_package"),
        "DJANGO_SETTINGS_MODULE": "no_such_package.settings",
        "CELERY_WORKER_POOL": "solo",
        "CELERY_WORKER_CONCURRENCY": "3",
        "CELERY_WORKER_QUEUES": "theirs",
        "CELERY_WORKER_HOSTNAME": "theirs@%h",
        "CELERY_WORKER_MAX_TASKS_PER_CHILD": "1",
        "TZ": "Asia/Shanghai",
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        **dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:1"),
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A working folder whose modules end the program that imports them."""
    return write_shadowing_modules(tmp_path_factory.mktemp("app"))


@pytest.fixture(scope="module")
def server():
    with redis_server() as running:
        yield running
        for database in (1, 2):
            with contextlib.closing(type(running.client).from_url(running.url.replace("/0", f"/{database}"))) as other:
                assert other.dbsize() == 0, f"database {database} has {other.keys('*')}"


@pytest.fixture(scope="module")
def environment(server, folder, tiny_package):
    (folder / "terms.txt").write_text("杭州\tLOC\n", encoding="utf-8")
    return hostile(server.url) | {
        "HANNER_BROKER_URL": server.url,
        "HANNER_MODEL": str(tiny_package),
        "HANNER_DICTIONARY": str(folder / "terms.txt"),
        "HANNER_CONCURRENCY": "1",
    }


@pytest.fixture(scope="module")
def worker(server, environment, folder):
    """The worker that `celery -A hanner_worker worker` starts."""
    with until_closed(Worker(server.url, app="hanner_worker", env=environment, cwd=folder)) as running:
        yield running


def run(*command, environment, folder):
    done = subprocess.run(
        command,
        env=os.environ | environment,
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_both_clients_reach_the_worker(worker, environment, folder, tmp_path):
    (tmp_path / "program.py").write_text(TWO_CLIENTS, encoding="utf-8")
    output = run(sys.executable, tmp_path / "program.py", environment=environment, folder=folder)
    assert output.count("tiny@") == 1, output


def test_options_of_workers_of_the_app_are_not_options_of_this_worker(worker):
    assert "1 processes, queue hanner," in worker.output
    assert "theirs" not in worker.output


def test_hanner_worker_serves_its_own_queue(server, environment, folder):
    with until_closed(HannerWorker(server.url, "--queue", "second", env=environment, cwd=folder)) as running:
        assert "1 processes, queue second," in running.output
        assert "theirs" not in running.output
        with Client(server.url, queue="second") as ner:
            assert isinstance(ner.extract(TEXT, timeout=60), list)


def test_status_dead_and_probe_use_the_workers_redis(worker, environment, folder):
    status = json.loads(run(*HANNER, "status", "--json", environment=environment, folder=folder))
    assert len(status["workers"]) == 1
    assert run(*HANNER, "dead", "list", "--json", environment=environment, folder=folder) == ""
    assert "answers" in run(*HANNER, "probe", "--timeout", "60", environment=environment, folder=folder)


def test_the_doctor_finds_no_problem(worker, environment, folder):
    output = run(*HANNER, "doctor", "--json", "--timeout", "60", environment=environment, folder=folder)
    assert {row["subject"] for row in json.loads(output) if row["level"] == "fail"} == set()


def test_inspect_of_celery_itself_finds_the_worker(worker, environment, folder):
    assert "1 node online" in run(
        *CELERY, "-A", "hanner_worker", "inspect", "-t", "60", "ping", environment=environment, folder=folder
    )


def test_the_gateway_answers(worker, server, environment, folder):
    port = free_port()
    process = subprocess.Popen(
        [*HANNER, "gateway", "--port", str(port)],
        env=os.environ | environment,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    try:
        assert answer_of(port)["entities"] is not None
    finally:
        process.terminate()
        print(process.communicate(timeout=60)[0])  # noqa: T201
    assert process.returncode == 0


def answer_of(port):
    import httpx  # noqa: PLC0415

    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60) as http:
        response = wait_until(lambda: http.post("/api/v1/ner", json={"text": TEXT}), ignore=httpx.HTTPError)
        assert response.status_code == 200, response.text
        return response.json()


def test_flower_shows_the_worker_and_its_requests(worker, server, environment, folder, tmp_path):
    with flower(server.url, tmp_path, env=environment, cwd=folder) as monitor, Client(server.url) as ner:
        monitor.wait_for_workers()
        job = ner.submit(TEXT)
        job.result(timeout=60)
        monitor.wait_for(lambda tasks: tasks.get(job.id, {}).get("state") == "SUCCESS")


@pytest.mark.parametrize("option", ["--broker=redis://h/1", "--result-backend=redis://h/1", "--config=x", "--loader=x"])
def test_options_of_celery_without_effect_are_refused(option, folder):
    done = subprocess.run(
        [*CELERY, "-A", "hanner_worker", option, "worker"],
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"hanner: Celery's option {option.partition('=')[0]} has no effect on hanner; ")
