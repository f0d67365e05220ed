"""`hanner dead …` with a real Redis."""

import json
import time

import pytest

from hanner import Client
from hanner.cli.app import run
from hanner.cli.dead import parse_age
from hanner.cli.errors import UsageError
from hanner.queue.dead_letters import DeadLetters
from support import dead_letters


@pytest.fixture(autouse=True)
def broker(server, monkeypatch):
    monkeypatch.setenv("HANNER_BROKER_URL", server.url)


@pytest.fixture
def dead(server):
    return DeadLetters(server.client, "hanner")


def add_dead_letter(server, task_id, *, age=0.0, **options):
    dead_letters.add_dead_letter(server.client, task_id, at=time.time() - age, **options)


def lines(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def ids(capsys):
    return [line["id"] for line in lines(capsys)]


def test_pipe_gets_one_object_per_line(server, capsys):
    add_dead_letter(server, "b")
    add_dead_letter(server, "a", age=100)
    assert run(["dead", "list"]) == 0
    first, second = lines(capsys)
    assert (first["id"], second["id"]) == ("a", "b")
    assert first["age_seconds"] == pytest.approx(100, abs=30)
    assert set(first) == {"id", "task", "code", "reason", "crashes", "at", "age_seconds"}


def test_terminal_gets_a_table_and_the_count(server, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    add_dead_letter(server, "a", age=7200)
    add_dead_letter(server, "b")
    assert run(["dead", "list", "--limit", "1"]) == 0
    out = capsys.readouterr().out
    assert "2 h" in out
    assert "worker_lost" in out
    assert "2 dead letters, 1 shown." in out


def test_empty_list(capsys, monkeypatch):
    assert run(["dead", "list"]) == 0
    assert capsys.readouterr().out == ""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert run(["dead", "list"]) == 0
    assert capsys.readouterr().out == "0 dead letters.\n"


def test_selection_by_code_and_age(server, capsys):
    add_dead_letter(server, "old", age=86_400 * 8)
    add_dead_letter(server, "other", code="model_failed")
    assert run(["dead", "list", "--older-than", "7d"]) == 0
    assert ids(capsys) == ["old"]
    assert run(["dead", "list", "--code", "model_failed"]) == 0
    assert ids(capsys) == ["other"]


def test_show_prints_the_text_only_on_request(server, capsys):
    with Client() as ner:
        job = ner.submit("马云")
    add_dead_letter(server, job.id, message=server.client.rpop("hanner"))
    assert run(["dead", "show", job.id]) == 0
    out = capsys.readouterr().out
    assert json.loads(out)["argument"] == "(<2 characters>)"
    assert "马云" not in out
    assert run(["dead", "show", job.id, "--text"]) == 0
    assert json.loads(capsys.readouterr().out)["argument"] == "马云"
    assert run(["dead", "show", "unknown"]) == 1
    assert "no dead letter with id unknown" in capsys.readouterr().err


@pytest.mark.parametrize("message", ["", "{}", "[]", '{"body": "!"}', '{"body": "W10="}'])
def test_show_of_an_invalid_message_has_no_argument(server, capsys, message):
    add_dead_letter(server, "a", message=message)
    assert run(["dead", "show", "a", "--text"]) == 0
    assert json.loads(capsys.readouterr().out)["argument"] is None


def test_retry(server, dead, capsys):
    for task_id in ("a", "b", "c"):
        add_dead_letter(server, task_id, message=f'"{task_id}"')
    assert run(["dead", "retry", "a"]) == 0
    assert capsys.readouterr().out == "1 request put back into the queue.\n"
    assert run(["dead", "retry", "a", "b"]) == 1
    streams = capsys.readouterr()
    assert streams.out == "1 request put back into the queue.\n"
    assert "1 id not found" in streams.err
    assert run(["dead", "retry", "--all"]) == 0
    assert server.client.lrange("hanner", 0, -1) == ['"c"', '"b"', '"a"']
    assert dead.count() == 0


def test_retry_reports_a_redis_without_memory(server, dead, capsys):
    add_dead_letter(server, "a")
    server.client.config_set("maxmemory", "1")
    try:
        assert run(["dead", "retry", "--all"]) == 1
    finally:
        server.client.config_set("maxmemory", "0")
    assert "memory limit" in capsys.readouterr().err
    assert dead.count() == 1


def test_purge_by_id_needs_no_confirmation(server, dead, capsys):
    add_dead_letter(server, "a")
    assert run(["dead", "purge", "a"]) == 0
    assert capsys.readouterr().out == "1 request deleted.\n"
    assert dead.count() == 0


def test_purge_of_many_needs_confirmation(server, dead, capsys, monkeypatch):
    for task_id in ("a", "b"):
        add_dead_letter(server, task_id)
    assert run(["dead", "purge", "--all"]) == 2
    assert "add --yes" in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    for answer, left in (("n", 2), ("y", 0)):
        monkeypatch.setattr("sys.stdin.readline", lambda answer=answer: answer + "\n")
        monkeypatch.setattr("builtins.input", lambda *_, answer=answer: answer)
        assert run(["dead", "purge", "--all"]) == (1 if left else 0)
        assert dead.count() == left


def test_purge_with_yes(server, dead):
    add_dead_letter(server, "a", age=100)
    add_dead_letter(server, "b")
    assert run(["dead", "purge", "--older-than", "1min", "--yes"]) == 0
    assert dead.ids() == ["b"]


def test_unreadable_letter_can_be_purged(server, dead, capsys):
    server.client.hset("hanner:hanner:dead", "a", "{")
    server.client.zadd("hanner:hanner:dead:index", {"a": 1})
    assert run(["dead", "list"]) == 1
    assert "cannot be read" in capsys.readouterr().err
    assert run(["dead", "purge", "--all", "--yes"]) == 0
    assert dead.count() == 0


@pytest.mark.parametrize("command", ["retry", "purge"])
@pytest.mark.parametrize("options", [[], ["a", "--all"], ["a", "--code", "x"], ["--all", "--older-than", "soon"]])
def test_missing_or_ambiguous_selection_is_rejected(server, dead, capsys, command, options):
    add_dead_letter(server, "a")
    assert run(["dead", command, *options]) == 2
    assert dead.count() == 1


def test_unreachable_redis_is_reported(capsys, monkeypatch):
    monkeypatch.setenv("HANNER_BROKER_URL", "redis://127.0.0.1:1/0")
    assert run(["dead", "list"]) == 1
    assert "does not answer" in capsys.readouterr().err


def test_parse_age():
    assert [parse_age(age) for age in ("7d", "12h", "1.5min", " 45 s")] == [604_800, 43_200, 90, 45]
    with pytest.raises(UsageError, match="invalid age"):
        parse_age("5")
