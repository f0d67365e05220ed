"""`hanner status` and `hanner dead` with a real worker."""

import json

import pytest

from hanner import Client, WorkerLost
from hanner.cli.app import run
from support.servers import redis_server
from support.workers import worker


@pytest.fixture
def server(monkeypatch):
    with redis_server() as server:
        monkeypatch.setenv("HANNER_BROKER_URL", server.url)
        yield server


def run_json(capsys, *command):
    """Run a command and return the JSON objects that it prints."""
    capsys.readouterr()
    assert run(list(command)) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_dead_letter_is_listed_retried_and_purged(server, capsys):
    with worker(server.url), Client(timeout=60) as ner:
        job = ner.submit("!die")
        with pytest.raises(WorkerLost):
            job.result()
        assert ner.extract("马云")[0].text == "马云"

        (letter,) = run_json(capsys, "dead", "list")
        assert (letter["id"], letter["task"], letter["code"], letter["crashes"]) == (
            job.id,
            "hanner.extract",
            "worker_lost",
            3,
        )
        assert letter["reason"]
        (status,) = run_json(capsys, "status", "--json")
        assert (status["depth"], status["dead"]) == (0, 1)

        assert run(["dead", "show", job.id, "--text"]) == 0
        assert json.loads(capsys.readouterr().out)["argument"] == "!die"
        assert run(["dead", "retry", job.id]) == 0
        with pytest.raises(WorkerLost):
            ner.job(job.id).result()
        assert server.client.llen("deaths") == 6

        assert run(["dead", "purge", job.id]) == 0
        assert run_json(capsys, "dead", "list") == []


def test_status_shows_a_real_worker(server, capsys):
    with worker(server.url) as running, Client(timeout=60) as ner:
        list(ner.stream(["马云"] * 500))
        status = {"workers": []}
        while not status["workers"] or not status["workers"][0]["texts"]:
            (status,) = run_json(capsys, "status", "--json")
        (report,) = status["workers"]
        assert (report["pid"], report["processes"], report["model"]) == (running.process.pid, 2, "fake@00000000")
        assert 0 < report["texts"] <= 500
        assert report["started"] > 1e9
        assert status["rate"] == report["rate"] > 0
    (status,) = run_json(capsys, "status", "--json")
    assert status["depth"] == 0
