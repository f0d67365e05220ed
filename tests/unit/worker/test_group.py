"""The start of one worker for several addresses, without starting it."""

import os
import signal
import sys
import time

import pytest

from hanner import InvalidSettings, Settings
from hanner_worker.group import STABLE_AFTER, Child, Supervisor, start_group

URLS = "redis://one,redis://two"


@pytest.mark.parametrize("option", ["--pidfile", "--pidfile=x", "--statedb=x", "-S"])
def test_options_that_name_a_file_of_one_worker_are_refused(option, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["-P", "-m", "hanner_worker", option])
    with pytest.raises(SystemExit) as ended:
        start_group(Settings(broker_url=URLS))
    assert ended.value.code == 1
    name = option.partition("=")[0]
    assert f"hanner: {name} cannot be used with several addresses in HANNER_BROKER_URL" in capsys.readouterr().err


def test_model_that_cannot_be_loaded_ends_the_command(monkeypatch, capsys):
    def load(settings):
        raise InvalidSettings("no such model")

    monkeypatch.setattr(sys, "argv", ["-P", "-m", "hanner_worker"])
    with pytest.raises(SystemExit) as ended:
        start_group(Settings(broker_url=URLS), load)
    assert ended.value.code == 1
    assert "hanner: no such model" in capsys.readouterr().err


@pytest.fixture
def supervisor():
    supervisor = Supervisor(["one", "two"], reloads=False)
    yield supervisor
    for end in supervisor._wakeup:
        os.close(end)


def exited(number, after=0.0):
    return Child(number, time.monotonic() - after)


def test_worker_that_was_shut_down_is_not_started_again(supervisor, capsys):
    supervisor._on_exit(exited(0), 0)
    assert not supervisor._due
    assert "the worker of one was shut down" in capsys.readouterr().err


def test_pauses_before_the_next_start_grow_until_a_worker_is_stable(supervisor, capsys):
    for _ in range(3):
        supervisor._on_exit(exited(0), -signal.SIGKILL)
    supervisor._on_exit(exited(0, after=STABLE_AFTER), 1)
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition("again in ")[2] for line in lines] == ["1 s", "2 s", "4 s", "1 s"]
    assert lines[0].startswith("hanner: the worker of one was killed by SIGKILL")
    assert lines[3].startswith("hanner: the worker of one exited with status 1")
    assert set(supervisor._due) == {0}


def test_all_workers_that_fail_at_the_start_end_the_command(supervisor):
    supervisor._on_exit(exited(0), 2)
    assert set(supervisor._due) == {0}
    supervisor._on_exit(exited(1), 2)
    assert not supervisor._due
    with pytest.raises(SystemExit) as ended:
        supervisor._end()
    assert ended.value.code == 2


def test_workers_that_were_stable_are_started_again_even_if_all_fail(supervisor):
    for number in range(2):
        supervisor._on_exit(exited(number, after=STABLE_AFTER), 1)
    assert set(supervisor._due) == {0, 1}
