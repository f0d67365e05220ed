"""The command `hanner flower`: login, hidden texts, and its database."""

import json
import stat
import subprocess
import sys

import pytest

from support.flowers import flower
from support.servers import redis_server
from support.workers import foreign_app, worker

SECRET = "马云的秘密"
START = "from hanner.cli import main; main()"


@pytest.fixture
def server():
    with redis_server() as server:
        yield server


@pytest.fixture
def app(server):
    with foreign_app(server.url) as app:
        yield app


def state_of(task_id, state):
    return lambda tasks: task_id in tasks and tasks[task_id]["state"] == state


def test_generated_password_is_printed_once_and_required(server, tmp_path):
    with flower(server.url, tmp_path / "data") as first:
        file = tmp_path / "data" / "flower-password"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert len(first.password) >= 24
        assert first.password in first.first_line
        for path in ("/", "/tasks", "/workers", "/broker", "/api/tasks", "/api/workers"):
            assert first.get(path, password="")[0] == 401
            assert first.get(path, password="hanner")[0] == 401
            assert first.get(path)[0] == 200
        assert first.get("/healthcheck", password="") == (200, "OK")
        assert first.stop() == 0
    with flower(server.url, tmp_path / "data") as second:
        assert second.password == first.password
        assert second.password not in second.first_line


def test_the_password_of_a_secret_file_and_of_flowers_own_variable(server, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("mine\n")
    with flower(server.url, tmp_path, env={"HANNER_FLOWER_PASSWORD_FILE": str(secret)}) as own:
        assert own.get("/tasks", password="mine")[0] == 200
    with flower(server.url, tmp_path, env={"FLOWER_BASIC_AUTH": "me:too"}) as own:
        assert own.get("/tasks", user="me", password="too")[0] == 200
        assert own.get("/tasks", user="hanner", password="mine")[0] == 401
    assert not (tmp_path / "flower-password").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--", "--no_such=1"), "is not an option of Flower"),
        (("--", "--max_tasks=many"), "cannot be started with these options"),
        (("--host", "192.0.2.1"), "cannot be used"),
        (("--data", "/proc/nowhere"), "cannot be stored"),
    ],
)
def test_errors_are_one_line(tmp_path, arguments, message):
    command = [sys.executable, "-c", START, "flower", "--data", str(tmp_path), "--port", "1", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode in {1, 2}
    assert ended.stderr.startswith("hanner: ")
    assert message in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_no_text_is_shown_even_from_task_sent_events(server, app, tmp_path):
    app.conf.task_send_sent_event = True  # Celery quotes the arguments then
    with flower(server.url, tmp_path) as running:
        with worker(server.url, "-c", "1") as only:
            running.wait_for_workers()
            done = app.send_task("hanner.extract", [SECRET])
            done.get(timeout=60)
            assert only.stop() == 0
        waiting = app.send_task("hanner.extract", [SECRET])
        tasks = running.wait_for(lambda tasks: waiting.id in tasks)
        assert tasks[waiting.id]["sent"]
        assert (tasks[waiting.id]["state"], tasks[waiting.id]["args"]) == ("PENDING", None)
        assert tasks[done.id]["args"] == "(<5 characters>)"
        paths = ("/task", "/api/task/info", "/api/task/result")
        pages = [running.get(f"{path}/{result.id}")[1] for path in paths for result in (done, waiting)]
        # JSON may escape characters as \\uXXXX, so compare the decoded text.
        assert "秘密" not in json.dumps(tasks, ensure_ascii=False)
        assert not [page for page in pages if "秘密" in page or "\\u79d8" in page]
        assert "Batch size" in pages[0]


def test_events_are_received_again_after_a_restart_of_redis(server, app, tmp_path):
    with worker(server.url, "-c", "1") as only, flower(server.url, tmp_path) as running:
        running.wait_for_workers()
        server.stop(kill=True)
        only.wait_for("Connection to broker lost")
        server.start()
        only.wait_for("Connected to", times=2)
        sent = []

        def has_received(tasks):
            if not sent or sent[-1].ready():  # Flower cannot list a task that it has missed: send another one
                sent.append(app.send_task("hanner.extract", ["马云"]))
            return any(tasks.get(result.id, {}).get("state") == "SUCCESS" for result in sent)

        running.wait_for(has_received)


def test_missed_events_are_read_from_redis(server, app, tmp_path):
    with worker(server.url, "-c", "1"):
        with flower(server.url, tmp_path) as before:
            before.wait_for_workers()
            results = [app.send_task("hanner.extract", [text]) for text in ("!wait:gate", "马云", "!raise:x", "撤回")]
            before.wait_for(lambda tasks: len(tasks) == 4)
            assert before.stop() == 0
        app.control.revoke(results[3].id, reply=True, timeout=5, limit=1)
        server.client.rpush("gate", 1)
        states = []
        for result in results:
            result.get(timeout=60, propagate=False)
            states.append(result.state)
        assert states == ["SUCCESS", "SUCCESS", "FAILURE", "REVOKED"]
        with flower(server.url, tmp_path) as after:  # its database has four unfinished tasks
            tasks = after.wait_for(
                lambda tasks: [tasks.get(result.id, {}).get("state") for result in results] == states
            )
            assert tasks[results[1].id]["result"].startswith("<1 entities, read from Redis")
            assert tasks[results[2].id]["exception"].startswith("ModelFailed(")
