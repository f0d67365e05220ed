"""Parts of `hanner flower` that work without a running Flower."""

import json
import stat
from types import SimpleNamespace

import pytest
from celery.events.state import State

from hanner.errors import HannerError, InvalidSettings
from hanner.flower.events import RECONNECT_PAUSE, Events, add_task_fields, remove_text
from hanner.flower.missed_events import MAX_READ, OVERDUE_AFTER, OverdueTask, Reconciler
from hanner.flower.password import read_or_generate

DONE = "2026-11-23T12:00:00+00:00"


def task(state="STARTED", timestamp=0.0, worker="w@here"):
    return SimpleNamespace(
        state=state, timestamp=timestamp, worker=worker and SimpleNamespace(hostname=worker), clock=7
    )


def stored(status, result):
    return json.dumps({"status": status, "result": result, "date_done": DONE}).encode()


def missed_events(result):
    return Reconciler(lambda ids: [result] * len(ids)).missed_events([OverdueTask("id", "w@here", 7)])


def test_unfinished_tasks_without_recent_events_are_overdue():
    now = 1000.0
    tasks = {
        "old": task("RECEIVED", now - OVERDUE_AFTER - 1),
        "retried": task("RETRY", now - OVERDUE_AFTER - 1),
        "new": task("STARTED", now - OVERDUE_AFTER + 1),
        "over": task("SUCCESS", 1.0),
        "sent": task("PENDING", 1.0, worker=None),
    }
    found = Reconciler(lambda ids: []).overdue(tasks.items(), now)
    assert found == [("old", "w@here", 7), ("retried", "w@here", 7)]


def test_many_waiting_tasks_do_not_hide_others():
    tasks = {str(n): task() for n in range(MAX_READ + 10)}
    reconciler = Reconciler(lambda ids: [])
    first, second = ([i for i, *_ in reconciler.overdue(tasks.items(), 100.0)] for _ in range(2))
    assert first == [str(n) for n in range(MAX_READ)]
    assert second[:10] == [str(n) for n in range(MAX_READ, MAX_READ + 10)]


@pytest.mark.parametrize(
    ("result", "kind", "expected"),
    [
        (stored("SUCCESS", {"entities": [{"text": "马云"}], "model": "m"}), "task-succeeded", "<1 entities, read"),
        (stored("SUCCESS", {"documents": [{"entities": [{}, {}]}, {"error": {}}]}), "task-succeeded", "<2 entities,"),
        (stored("FAILURE", {"exc_type": "WorkerLost", "exc_message": ["gone"]}), "task-failed", "WorkerLost('gone')"),
        (stored("REVOKED", {"exc_type": "TaskRevokedError", "exc_message": ["expired"]}), "task-revoked", ""),
    ],
)
def test_result_becomes_the_missed_event(result, kind, expected):
    (event,) = missed_events(result)
    assert event["type"] == kind
    assert (event["timestamp"], event["clock"]) == (1795435200.0, 8)
    assert expected in event.get("result", "") + event.get("exception", "")
    assert "马云" not in str(event)
    state = State()
    state.event({**event, "type": "task-received", "clock": 6, "name": "hanner.extract"})
    state.event(event)
    assert state.tasks["id"].ready


@pytest.mark.parametrize("result", [None, b"\xff", b"[]", b"{}", stored("STARTED", None), b'{"status": "SUCCESS"}'])
def test_unfinished_task_has_no_missed_event(result):
    assert missed_events(result) == []


def test_arguments_are_removed_from_task_sent_events():
    event = {"type": "task-sent", "uuid": "id", "args": "['text']", "kwargs": "{}", "name": "hanner.extract"}
    assert remove_text(event) == {"type": "task-sent", "uuid": "id", "name": "hanner.extract"}
    received = {"type": "task-received", "args": "(<4 characters>)"}
    assert remove_text(received) == received


def test_extra_fields_survive_a_copy():
    add_task_fields()
    state = State()
    state.event({"type": "task-succeeded", "uuid": "id", "hostname": "w", "timestamp": 1.0, "local_received": 1.0,
                 "clock": 1, "batch": 3, "batch_size": 5, "waited_ms": 1.5, "characters": 14})  # fmt: skip
    assert state.tasks["id"].as_dict()["batch_size"] == 5
    assert State().Task("other").as_dict()["batch"] is None


def test_pause_between_reconnects_does_not_grow():
    tries, pauses = iter([*[ConnectionError] * 8, TimeoutError, ConnectionError, SystemExit]), []

    def connection():
        raise next(tries)

    capp = SimpleNamespace(connection=connection)
    events = Events(capp, io_loop=None, max_tasks_in_memory=10, log_text=False, sleep=pauses.append)
    with pytest.raises(SystemExit):
        events.run()
    assert pauses == [RECONNECT_PAUSE] * 9


def test_password_is_generated_once(tmp_path):
    file = tmp_path / "deep" / "secret"
    password, is_new = read_or_generate(file)
    assert (len(password), is_new) == (24, True)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert read_or_generate(file) == (password, False)


@pytest.mark.parametrize("content", ["", " \n", "two,words"])
def test_file_without_a_valid_password_is_rejected(tmp_path, content):
    file = tmp_path / "secret"
    file.write_text(content)
    with pytest.raises(InvalidSettings, match="has no password"):
        read_or_generate(file)


def test_unusable_password_file_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(HannerError, match="HANNER_FLOWER_PASSWORD_FILE"):
        read_or_generate(tmp_path / "file" / "secret")
