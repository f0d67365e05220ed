"""Pieces of `hanner flower` that need no Flower that runs."""

import json
import stat
from types import SimpleNamespace

import pytest
from celery.events.state import State

from hanner.errors import HannerError, InvalidSettings
from hanner.flower.events import PAUSE, Events, show_fields, without_text
from hanner.flower.missed_events import MOST, PATIENCE, Mender
from hanner.flower.password import read_or_make

DONE = "2026-11-23T12:00:00+00:00"


def task(state="STARTED", timestamp=0.0, worker="w@here"):
    return SimpleNamespace(
        state=state, timestamp=timestamp, worker=worker and SimpleNamespace(hostname=worker), clock=7
    )


def stored(status, result):
    return json.dumps({"status": status, "result": result, "date_done": DONE}).encode()


def ends(result):
    return Mender(lambda ids: [result] * len(ids)).ends([("id", "w@here", 7)])


def test_only_unfinished_tasks_that_were_silent_are_looked_for():
    now = 1000.0
    tasks = {
        "old": task("RECEIVED", now - PATIENCE - 1),
        "retried": task("RETRY", now - PATIENCE - 1),
        "new": task("STARTED", now - PATIENCE + 1),
        "over": task("SUCCESS", 1.0),
        "sent": task("PENDING", 1.0, worker=None),
    }
    found = Mender(lambda ids: []).silent(tasks.items(), now)
    assert found == [("old", "w@here", 7), ("retried", "w@here", 7)]


def test_many_that_really_wait_hide_no_other():
    tasks = {str(n): task() for n in range(MOST + 10)}
    mender = Mender(lambda ids: [])
    first, second = ([i for i, *_ in mender.silent(tasks.items(), 100.0)] for _ in range(2))
    assert first == [str(n) for n in range(MOST)]
    assert second[:10] == [str(n) for n in range(MOST, MOST + 10)]


@pytest.mark.parametrize(
    ("result", "kind", "said"),
    [
        (stored("SUCCESS", {"entities": [{"text": "马云"}], "model": "m"}), "task-succeeded", "<1 entities, read"),
        (stored("SUCCESS", {"documents": [{"entities": [{}, {}]}, {"error": {}}]}), "task-succeeded", "<2 entities,"),
        (stored("FAILURE", {"exc_type": "WorkerLost", "exc_message": ["gone"]}), "task-failed", "WorkerLost('gone')"),
        (stored("REVOKED", {"exc_type": "TaskRevokedError", "exc_message": ["expired"]}), "task-revoked", ""),
    ],
)
def test_a_result_becomes_the_event_that_was_lost(result, kind, said):
    (event,) = ends(result)
    assert event["type"] == kind
    assert (event["timestamp"], event["clock"]) == (1795435200.0, 8)
    assert said in event.get("result", "") + event.get("exception", "")
    assert "马云" not in str(event)
    state = State()
    state.event({**event, "type": "task-received", "clock": 6, "name": "hanner.extract"})
    state.event(event)
    assert state.tasks["id"].ready


@pytest.mark.parametrize("result", [None, b"\xff", b"[]", b"{}", stored("STARTED", None), b'{"status": "SUCCESS"}'])
def test_what_is_no_end_is_left_alone(result):
    assert ends(result) == []


def test_what_a_sender_quotes_is_left_out():
    event = {"type": "task-sent", "uuid": "id", "args": "['text']", "kwargs": "{}", "name": "hanner.extract"}
    assert without_text(event) == {"type": "task-sent", "uuid": "id", "name": "hanner.extract"}
    received = {"type": "task-received", "args": "(<4 characters>)"}
    assert without_text(received) == received


def test_fields_of_a_batch_outlive_a_copy():
    show_fields()
    state = State()
    state.event({"type": "task-succeeded", "uuid": "id", "hostname": "w", "timestamp": 1.0, "local_received": 1.0,
                 "clock": 1, "batch": 3, "batch_size": 5, "waited_ms": 1.5, "characters": 14})  # fmt: skip
    assert state.tasks["id"].as_dict()["batch_size"] == 5
    assert State().Task("other").as_dict()["batch"] is None


def test_redis_is_tried_again_soon_however_long_it_is_away():
    tries, pauses = iter([*[ConnectionError] * 8, TimeoutError, ConnectionError, SystemExit]), []

    def connection():
        raise next(tries)

    capp = SimpleNamespace(connection=connection)
    events = Events(capp, io_loop=None, max_tasks_in_memory=10, log_text=False, pause=pauses.append)
    with pytest.raises(SystemExit):
        events.run()
    assert pauses == [PAUSE] * 9


def test_a_password_is_made_once(tmp_path):
    file = tmp_path / "deep" / "secret"
    password, is_new = read_or_make(file)
    assert (len(password), is_new) == (24, True)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert read_or_make(file) == (password, False)


@pytest.mark.parametrize("content", ["", " \n", "two,words"])
def test_a_file_without_a_password_is_refused(tmp_path, content):
    file = tmp_path / "secret"
    file.write_text(content)
    with pytest.raises(InvalidSettings, match="has no password"):
        read_or_make(file)


def test_a_file_that_cannot_be_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(HannerError, match="HANNER_FLOWER_PASSWORD_FILE"):
        read_or_make(tmp_path / "file" / "secret")
