"""What `hanner up` prints about a running stack, and the ports that it takes."""

import shlex
import socket
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from hanner import HannerError
from hanner.cli import app, local_redis, up
from hanner.cli.gateway_process import GatewayProcess
from hanner.cli.local_redis import EmbeddedServer
from hanner.cli.local_stack import LocalStack
from hanner.settings import Settings
from support.ports import free_port


def stack(url, gateway=None):
    return LocalStack(Settings(broker_url=url), None, None, "hanner-1@host", Path("worker.log"), "small@00", gateway)


def shown(stack, *, is_registered=True):
    return up.format_stack(stack, is_registered=is_registered)


@pytest.fixture
def environment(tmp_path, monkeypatch):
    """The folder of the programs of an environment that is not on PATH."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "my venv" / "bin" / "python"))
    folder = tmp_path / "my venv" / "bin"
    folder.mkdir(parents=True)
    (folder / "hanner").touch()
    return folder


@pytest.mark.parametrize("url", ["redis://127.0.0.1:6379/0", "redis://localhost:6379/0"])
def test_no_variable_is_needed_for_the_default_redis(url):
    assert "export HANNER" not in shown(stack(url))
    assert "\nhanner extract 马云" in shown(stack(url))
    assert "with Client() as ner:" in shown(stack(url))


def test_variable_is_printed_for_another_redis():
    assert "\nexport HANNER_BROKER_URL=redis://127.0.0.1:7000/0\n" in shown(stack("redis://127.0.0.1:7000/0"))


def test_password_is_redacted_and_the_variable_printed_only_if_clients_need_it():
    given = stack("redis://:secret@h:6379/0")
    assert "export HANNER" not in shown(given)
    output = shown(given, is_registered=False)
    (line,) = [line for line in output.splitlines() if "export HANNER" in line]
    assert "secret" not in output
    assert line.endswith("# with the password")
    assert shlex.split(line, comments=True) == ["export", "HANNER_BROKER_URL=redis://:**@h:6379/0"]


def test_origin_of_redis_is_printed(tmp_path):
    given = stack("redis://h:7000/0")
    assert "redis://h:7000/0 (given)" in shown(given)
    assert f"(started here, data in {tmp_path})" in shown(replace(given, server=EmbeddedServer(tmp_path)))


def test_activation_is_printed_if_the_command_is_not_on_path(environment):
    assert f"\nexport PATH='{environment}':\"$PATH\"\n" in shown(stack("redis://h/0"))
    (environment / "activate").touch()
    assert f"\n. '{environment}/activate'\n" in shown(stack("redis://h/0"))


def test_activation_is_not_printed_if_the_command_is_on_path(environment, monkeypatch):
    (environment / "activate").touch()
    (environment / "hanner").chmod(0o755)
    monkeypatch.setenv("PATH", str(environment))
    assert "activate" not in shown(stack("redis://h/0"))


def test_gateway_addresses_are_printed_if_it_runs():
    assert "curl" not in shown(stack("redis://127.0.0.1:7000/0"))
    output = shown(stack("redis://127.0.0.1:7000/0", GatewayProcess(None, "http://127.0.0.1:8080", None)))
    assert "  page     http://127.0.0.1:8080/\n  API      http://127.0.0.1:8080/docs\n" in output
    assert "\ncurl http://127.0.0.1:8080/api/v1/ner -H" in output


@pytest.fixture
def ports(monkeypatch):
    """The default port and two others, all free."""
    ports = [free_port() for _ in range(3)]
    monkeypatch.setattr(local_redis, "DEFAULT_PORT", ports[0])
    monkeypatch.setattr(local_redis, "OTHER_PORTS", ports[1:])
    return ports


def listen(port):
    return socket.create_server(("127.0.0.1", port))


def test_redis_gets_the_default_port_if_it_is_free(ports, tmp_path):
    local_redis.remember_port(tmp_path, ports[2])
    assert local_redis.choose_port(tmp_path) == ports[0]


def test_redis_gets_the_same_other_port_while_the_default_port_is_in_use(ports, tmp_path):
    with listen(ports[0]):
        assert local_redis.choose_port(tmp_path) == ports[1]
        local_redis.remember_port(tmp_path, ports[2])
        assert local_redis.choose_port(tmp_path) == ports[2]
        with listen(ports[2]):
            assert local_redis.choose_port(tmp_path) == ports[1]
        with listen(ports[1]), listen(ports[2]):
            assert local_redis.choose_port(tmp_path) not in {0, *ports}


def test_invalid_stored_port_is_ignored(ports, tmp_path):
    (tmp_path / local_redis.PORT).write_text("70000\n")
    with listen(ports[0]):
        assert local_redis.choose_port(tmp_path) == ports[1]


def test_requested_port_of_redis_that_is_in_use_is_refused():
    port = free_port()
    assert up._redis_port(port) == port
    with listen(port), pytest.raises(HannerError, match=f"port {port}: Address already in use; .*--redis-port"):
        up._redis_port(port)


def test_port_of_the_gateway_that_is_in_use_is_refused_before_anything_starts(tmp_path, capsys):
    port = free_port()
    with listen(port):
        assert app.run(["up", "--data", str(tmp_path), "--port", str(port)]) == 1
    output = capsys.readouterr()
    assert output.err == (
        f"hanner: cannot listen on port {port} of 127.0.0.1: Address already in use; choose another with --port\n"
    )
    assert output.out == ""


def test_contradicting_options_and_a_folder_that_cannot_be_made_are_refused(tmp_path, capsys, monkeypatch):
    assert app.run(["up", "--broker", "redis://h/0", "--redis-port", "7000"]) == 2
    (tmp_path / "file").touch()
    monkeypatch.delenv("HANNER_BROKER_URL", raising=False)
    assert app.run(["up", "--data", str(tmp_path / "file" / "data")]) == 1
    assert "name another with --data" in capsys.readouterr().err
