"""`hanner status` against a real server."""

import json
import os
import pty
import signal
import subprocess
import sys
import time

import pytest

from hanner import Client
from hanner.cli.app import run
from hanner.queue.keys import QueueKeys
from support.dead_letters import add_dead_letter

KEYS = QueueKeys("hanner")
HANNER = [sys.executable, "-u", "-c", "from hanner.cli import main; main()"]


@pytest.fixture(autouse=True)
def broker(server, monkeypatch):
    monkeypatch.setenv("HANNER_BROKER_URL", server.url)


@pytest.fixture
def busy(server):
    """A queue with two requests, a worker and a dead letter."""
    now = server.client.time()[0]
    server.client.zadd(KEYS.leases, {"w": (now + 600) * 1000})
    state = {"host": "box", "pid": 7, "processes": 2, "model": "hanner-small@01234567", "started": now - 7260}
    measured = {"texts": 900, "rate": 40.5, "batch_texts": 16.2, "latency_ms": 31.5, "held": 5}
    server.client.hset(KEYS.owner("w"), mapping=state | measured)
    add_dead_letter(server.client, "a")
    with Client() as ner:
        ner.submit("马云")
        ner.submit_many(["马云"] * 80)


def test_json(busy, server, capsys):
    assert run(["status", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["redis"], told["queue"], told["limit"]) == (server.url, "hanner", 100_000)
    assert (told["depth"], told["texts"], told["held"], told["dead"], told["rate"]) == (2, 81, 5, 1, 40.5)
    assert told["seconds"] == 2
    assert 0 <= told["oldest_seconds"] < 60
    assert told["workers"][0]["model"] == "hanner-small@01234567"


def test_a_pipe_gets_plain_lines(busy, capsys):
    assert run(["status"]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    told = dict(line.split("\t", 1) for line in out.splitlines())
    assert told["waiting"] == "1 of 100,000 interactive and 1 of 100,000 bulk requests, about 81 texts"
    assert told["done in"] == "about 2 s at this rate"
    assert told["rate"] == "40.5 texts/s"
    assert told["held"] == "5 requests in flight"
    assert told["dead"] == "1 dead letter, see `hanner dead list`"
    assert told["model"] == "hanner-small@01234567"
    name, processes, model, rate, batch, latency, held, texts, up = told["worker"].split("\t")
    assert (name, processes, model, rate) == ("box:7", "2", "hanner-small@01234567", "40.5")
    assert (batch, latency, held, texts) == ("16.2", "31.5", "5", "900")
    assert up.startswith("2 h 1 min")


def test_an_empty_queue_without_workers(capsys):
    assert run(["status"]) == 0
    told = dict(line.split("\t", 1) for line in capsys.readouterr().out.splitlines())
    assert told["waiting"] == "0 of 100,000 requests"
    assert told["oldest"] == told["done in"] == told["model"] == "-"
    assert told["workers"].startswith("none")


def test_no_limit_and_no_rate_are_said(server, capsys, monkeypatch):
    monkeypatch.setenv("HANNER_MAX_QUEUE", "0")
    with Client() as ner:
        ner.submit("马云")
    assert run(["status"]) == 0
    told = dict(line.split("\t", 1) for line in capsys.readouterr().out.splitlines())
    assert told["waiting"] == "1 request"
    assert told["done in"] == "unknown"


def test_an_absent_redis_is_named(capsys, monkeypatch):
    monkeypatch.setenv("HANNER_BROKER_URL", "redis://:secret@127.0.0.1:1/0")
    assert run(["status"]) == 1
    streams = capsys.readouterr()
    assert "does not answer" in streams.err
    assert "secret" not in streams.err + streams.out


class InTerminal:
    """The command in a terminal of its own; reads what it draws until it is told what to wait for."""

    def __init__(self, *arguments, **environment):
        self._ours, theirs = pty.openpty()
        self.drawn = ""
        self.process = subprocess.Popen(
            [*HANNER, *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "140", **environment},
            start_new_session=True,
        )
        os.close(theirs)

    def read_until(self, what, times=1):
        until = time.monotonic() + 60
        while self.drawn.count(what) < times:
            assert time.monotonic() < until, self.drawn
            try:
                chunk = os.read(self._ours, 65_536)
            except OSError:  # the other end is closed
                chunk = b""
            assert chunk, f"ended without {what!r}: {self.drawn}"
            self.drawn += chunk.decode(errors="replace")

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._ours)


@pytest.fixture
def terminal():
    opened = []

    def start(*arguments, **environment):
        opened.append(InTerminal(*arguments, **environment))
        return opened[-1]

    yield start
    for one in opened:
        one.close()


def test_a_terminal_gets_a_table(busy, terminal):
    shown = terminal("status", NO_COLOR="")
    shown.read_until("box:7")
    assert "texts/batch" in shown.drawn
    assert "\x1b[1" in shown.drawn
    assert shown.process.wait(10) == 0


def test_no_color_is_honoured(busy, terminal):
    shown = terminal("status", NO_COLOR="1")
    shown.read_until("box:7")
    assert "31m" not in shown.drawn


def test_watching_a_terminal_until_ctrl_c(busy, terminal, server):
    shown = terminal("status", "--watch", "--interval", "0.1")
    shown.read_until("box:7", times=2)
    server.client.hset(KEYS.owner("w"), "pid", 77_777)
    shown.read_until("box:77777")
    shown.process.send_signal(signal.SIGINT)
    assert shown.process.wait(10) == 0


def test_watching_through_a_pipe_outlives_a_redis_that_is_away(busy, server):
    command = [*HANNER, "status", "--watch", "--json", "--interval", "0.1"]
    environment = {**os.environ, "HANNER_CONNECT_TIMEOUT": "0.5"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert json.loads(process.stdout.readline())["depth"] == 2
        server.stop()
        said = json.loads(process.stdout.readline())
        while "error" not in said:
            said = json.loads(process.stdout.readline())
        assert said["error"]["code"] == "broker_unreachable"
        server.start()
        while "error" in said:
            said = json.loads(process.stdout.readline())
        assert said["depth"] == 2
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
