"""The fork server that starts the workers of the acceptance and chaos tests."""

import os
import signal

import psutil
import pytest

from support import forkserver
from support.ended_processes import wait_ended
from support.forkserver import ForkServer

pytestmark = pytest.mark.skipif(not forkserver.AVAILABLE, reason="the fork server needs Linux")
APP = """
import os, celery
app = celery.Celery("app", broker="memory://", set_as_current=False)
print("settings", os.environ.get("ONE"), os.environ.get("TWO"), flush=True)
"""


@pytest.fixture(scope="module")
def server():
    with ForkServer(env={**os.environ, "ONE": "server"}) as running:
        yield running


def run(server, *arguments, env=None):
    """Run a command to its end, and return its exit status and output."""
    output, theirs = os.pipe()
    process = server.start(arguments, theirs, env)
    os.close(theirs)
    with open(output, encoding="utf-8") as file:  # noqa: PTH123 - a file descriptor
        text = file.read()
    return process.wait(60), text


def test_exit_status_and_output_are_those_of_the_command(server):
    status, text = run(server, "--version")
    assert (status, text.count("\n")) == (0, 1)
    status, text = run(server, "no-such-command")
    assert status == 2
    assert "no-such-command" in text


def test_each_process_has_its_own_environment(server, tmp_path):
    (tmp_path / "forked_app.py").write_text(APP)
    command = ("--workdir", str(tmp_path), "-A", "forked_app", "inspect", "--help")
    assert "settings server None" in run(server, *command)[1]
    assert "settings None 2" in run(server, *command, env={"TWO": "2"})[1]
    assert "settings server None" in run(server, *command)[1]


def test_processes_are_killed_with_the_server(tmp_path):
    (tmp_path / "forked_app.py").write_text(APP)
    with (tmp_path / "log").open("wb") as log, ForkServer() as server:
        process = server.start(["--workdir", str(tmp_path), "-A", "forked_app", "worker", "-P", "solo"], log.fileno())
        worker = psutil.Process(process.pid)
        assert process.poll() is None
    assert process.returncode == -signal.SIGKILL
    wait_ended([worker])


def test_server_that_cannot_import_a_module_is_reported(tmp_path):
    with (
        (tmp_path / "log").open("wb") as log,
        ForkServer(["no_such_module"], log=log) as server,
        pytest.raises(AssertionError, match="the fork server exited"),
    ):
        server.start(["--version"], log.fileno())
    assert "No module named 'no_such_module'" in (tmp_path / "log").read_text()
