"""`hanner status` with a real Redis."""

import json
import os
import pty
import re
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
    measured = {"texts": 900, "rate": 40.5, "batch_texts": 16.2, "latency_ms": 31.5, "unacked": 5}
    server.client.hset(KEYS.worker("w"), mapping=state | measured)
    add_dead_letter(server.client, "a")
    with Client() as ner:
        ner.submit("马云")
        ner.submit_many(["马云"] * 80)


def test_json(busy, server, capsys):
    assert run(["status", "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert (values["redis"], values["queue"], values["limit"]) == (server.url, "hanner", 100_000)
    assert (values["depth"], values["texts"], values["unacked"], values["dead"], values["rate"]) == (2, 81, 5, 1, 40.5)
    assert values["seconds"] == 2
    assert 0 <= values["oldest_seconds"] < 60
    assert values["workers"][0]["model"] == "hanner-small@01234567"


def test_pipe_gets_plain_lines(busy, capsys):
    assert run(["status"]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    values = dict(line.split("\t", 1) for line in out.splitlines())
    assert values["waiting"] == "1 of 100,000 interactive and 1 of 100,000 bulk requests, about 81 texts"
    assert values["done in"] == "about 2 s at this rate"
    assert values["rate"] == "40.5 texts/s"
    assert values["unacked"] == "5 requests in flight"
    assert values["dead"] == "1 dead letter, see `hanner dead list`"
    assert values["model"] == "hanner-small@01234567"
    name, *labelled = values["worker"].split("\t")
    assert name == "box:7"
    worker = dict(value.split("=", 1) for value in labelled)
    assert worker.pop("up").startswith("2 h 1 min")
    assert worker == {
        "processes": "2",
        "model": "hanner-small@01234567",
        "texts/s": "40.5",
        "texts/batch": "16.2",
        "latency_ms": "31.5",
        "unacked": "5",
        "texts": "900",
    }


def test_scheduled_requests(server, capsys):
    server.client.zadd(KEYS.scheduled, {"a": (server.client.time()[0] + 86_400 * 3 + 60) * 1000})
    assert run(["status"]) == 0
    assert "\nscheduled\t1 request, the next is due in 3 d\n" in capsys.readouterr().out
    server.client.zadd(KEYS.scheduled, {"b": 0})
    assert run(["status"]) == 0
    assert "\nscheduled\t2 requests, the next is due now\n" in capsys.readouterr().out
    assert run(["status", "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert (values["scheduled"], values["scheduled_seconds"]) == (2, 0)


def test_empty_queue_without_workers(capsys):
    assert run(["status"]) == 0
    values = dict(line.split("\t", 1) for line in capsys.readouterr().out.splitlines())
    assert values["waiting"] == "0 of 100,000 requests"
    assert values["oldest"] == values["done in"] == values["model"] == "-"
    assert values["workers"].startswith("none")
    assert values["scheduled"] == "0 requests"


def test_missing_limit_and_rate(server, capsys, monkeypatch):
    monkeypatch.setenv("HANNER_MAX_QUEUE", "0")
    with Client() as ner:
        ner.submit("马云")
    assert run(["status"]) == 0
    values = dict(line.split("\t", 1) for line in capsys.readouterr().out.splitlines())
    assert values["waiting"] == "1 request"
    assert values["done in"] == "unknown"


def test_unreachable_redis_is_reported(capsys, monkeypatch):
    monkeypatch.setenv("HANNER_BROKER_URL", "redis://:secret@127.0.0.1:1/0")
    assert run(["status"]) == 1
    streams = capsys.readouterr()
    assert "does not answer" in streams.err
    assert "secret" not in streams.err + streams.out


class InTerminal:
    """The command in a pseudo-terminal, whose output is read until an expected text appears."""

    def __init__(self, *arguments, **environment):
        self._ours, theirs = pty.openpty()
        self.output = ""
        self.process = subprocess.Popen(
            [*HANNER, *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "140", **environment},
            start_new_session=True,
        )
        os.close(theirs)

    def read_until(self, expected, times=1):
        until = time.monotonic() + 60
        while self.output.count(expected) < times:
            assert time.monotonic() < until, self.output
            try:
                chunk = os.read(self._ours, 65_536)
            except OSError:  # the other end is closed
                chunk = b""
            assert chunk, f"ended without {expected!r}: {self.output}"
            self.output += chunk.decode(errors="replace")

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


def test_terminal_gets_a_table(busy, terminal):
    screen = terminal("status", NO_COLOR="")
    screen.read_until("box:7")
    assert "texts/batch" in screen.output
    assert "\x1b[1" in screen.output
    assert screen.process.wait(60) == 0


def test_narrow_terminal_gets_a_block_for_each_worker(busy, terminal):
    screen = terminal("status", NO_COLOR="1", COLUMNS="50")
    screen.read_until("2 h 1 min")
    lines = re.sub(r"\x1b\[[\d;]*m", "", screen.output).splitlines()
    assert max(map(len, lines)) <= 50
    assert re.search(r"^worker +box:7 *$", "\n".join(lines), re.MULTILINE)
    assert re.search(r"^latency ms +31.5 *$", "\n".join(lines), re.MULTILINE)


def test_no_color_is_respected(busy, terminal):
    screen = terminal("status", NO_COLOR="1")
    screen.read_until("box:7")
    assert "31m" not in screen.output


def test_watch_in_a_terminal_until_ctrl_c(busy, terminal, server):
    screen = terminal("status", "--watch", "--interval", "0.1")
    screen.read_until("box:7", times=2)
    server.client.hset(KEYS.worker("w"), "pid", 77_777)
    screen.read_until("box:77777")
    screen.process.send_signal(signal.SIGINT)
    assert screen.process.wait(60) == 0


def test_watch_in_a_pipe_continues_while_redis_is_down(busy, server):
    command = [*HANNER, "status", "--watch", "--json", "--interval", "0.1"]
    environment = {**os.environ, "HANNER_CONNECT_TIMEOUT": "0.5"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert json.loads(process.stdout.readline())["depth"] == 2
        server.stop()
        values = json.loads(process.stdout.readline())
        while "error" not in values:
            values = json.loads(process.stdout.readline())
        assert values["error"]["code"] == "broker_unreachable"
        server.start()
        while "error" in values:
            values = json.loads(process.stdout.readline())
        assert values["depth"] == 2
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
