"""Clients find the stack that `hanner up` runs on this machine."""

import os
import subprocess
import sys

import pytest
from redis.exceptions import ConnectionError  # noqa: A004 - redis-py's own name

from hanner import Client, Settings
from hanner.transport.connection import BrokerConnection
from hanner.utils import stack_file
from hanner.utils.stack_file import RunningStack, find_running_stack, register_stack

STACK = RunningStack("redis://:secret@127.0.0.1:6380/0", "http://127.0.0.1:8080")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.delenv("HANNER_BROKER_URL", raising=False)
    return tmp_path


def test_running_stack_is_found_until_it_stops(home):
    assert find_running_stack() is None
    with register_stack(STACK) as is_registered:
        assert is_registered
        assert find_running_stack() == STACK
        assert (home / "hanner" / stack_file.NAME).stat().st_mode & 0o077 == 0  # it has a password
    assert find_running_stack() is None


def test_client_prefers_the_variable_to_the_running_stack_and_that_to_the_default(monkeypatch):
    assert Client().settings.broker_url == "redis://localhost:6379/0"
    with register_stack(STACK):
        assert Client().settings.broker_url == STACK.broker_url
        assert Client("redis://mine/1").settings.broker_url == "redis://mine/1"
        assert Settings.from_env({}).broker_url == "redis://localhost:6379/0"
        monkeypatch.setenv("HANNER_BROKER_URL", "redis://other/2")
        assert Client().settings.broker_url == "redis://other/2"


def test_second_stack_does_not_replace_the_first(monkeypatch):
    monkeypatch.setattr(stack_file, "LOCK_TIMEOUT", 0)
    with register_stack(STACK):
        with register_stack(RunningStack("redis://127.0.0.1:1/0")) as is_registered:
            assert not is_registered
        assert find_running_stack() == STACK


def test_stack_whose_process_was_killed_is_not_found(home):
    program = (
        "import time\nfrom hanner.utils.stack_file import *\n"
        "with register_stack(RunningStack('redis://h/0')): print(flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=os.environ) as process:
        process.stdout.readline()
        assert find_running_stack() == RunningStack("redis://h/0")
        process.kill()
    assert (home / "hanner" / stack_file.NAME).read_text() != ""
    assert find_running_stack() is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"broker_url": "redis://h", "from_another_version": 1}'])
def test_file_that_cannot_be_read_counts_as_no_stack(home, content):
    with register_stack(STACK):
        (home / "hanner" / stack_file.NAME).write_text(content)
        assert find_running_stack() is None


def test_user_without_a_home_folder_has_no_stack(monkeypatch):
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(stack_file.Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    assert find_running_stack() is None


def test_error_of_an_outdated_variable_names_the_running_stack():
    connection = BrokerConnection(Settings(broker_url="redis://127.0.0.1:1/0"))
    assert "start it, or set HANNER_BROKER_URL" in str(connection.translate(ConnectionError("refused"), None))
    with register_stack(STACK):
        message = str(connection.translate(ConnectionError("refused"), None))
    assert message.endswith("to use the one of `hanner up`, redis://:**@127.0.0.1:6380/0, unset HANNER_BROKER_URL")
