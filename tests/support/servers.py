"""Run a real Redis for tests: `with redis_server() as server:`. TEST_SERVER chooses the program."""

import atexit
import functools
import os
import re
import shutil
import subprocess
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from hanner.cli.local_redis import EmbeddedServer, bundled_server, find_server
from hanner.errors import HannerError
from support.ports import free_port
from support.waiting import DEADLINE

FOLDER = "TEST_SERVER_FOLDER"
"""Environment variable with the folder that `choose_server` put first on PATH."""


def choose_server():
    """Put the server that tests use first on PATH: TEST_SERVER, otherwise the one of the extra `embedded`.

    The commands under test look for a server on PATH, so they use the same one. Processes started later inherit it.

    Raises:
        FileNotFoundError: TEST_SERVER names no executable file.
    """
    if FOLDER in os.environ:
        return
    chosen = os.environ.get("TEST_SERVER")
    if chosen and not shutil.which(chosen):
        raise FileNotFoundError(f"TEST_SERVER={chosen} is no executable file; name a redis-server or valkey-server")
    with suppress(HannerError):  # none is installed: see require_server
        program = shutil.which(chosen) if chosen else bundled_server()
        folder = tempfile.mkdtemp(prefix="hanner-test-server-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        (Path(folder) / "valkey-server").symlink_to(Path(program).absolute())  # the name that is looked for first
        os.environ[FOLDER] = folder
        os.environ["PATH"] = folder + os.pathsep + os.environ["PATH"]


def hide_running_stack():
    """Use an empty data folder, so that tests do not find a `hanner up` that runs on this machine."""
    folder = tempfile.mkdtemp(prefix="hanner-test-data-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ["XDG_DATA_HOME"] = folder


@functools.cache
def server_version():
    """Return name and version of the server, such as ("Valkey", (9, 1, 2))."""
    text = subprocess.run([find_server(), "--version"], capture_output=True, text=True, check=True).stdout
    name, *numbers = re.match(r"(Redis|Valkey) server v=(\d+)\.(\d+)\.(\d+)", text).groups()
    return name, tuple(map(int, numbers))


class Server:
    """A server that can be stopped or killed, and restarted on the same port with its data."""

    def __init__(self):
        self._embedded = EmbeddedServer(port=free_port(), timeout=DEADLINE).start()
        self.port = self._embedded.port
        self.url = self._embedded.url
        self.client = redis.Redis.from_url(
            self.url,
            decode_responses=True,
            socket_timeout=None,  # a BLPOP may take longer
            retry=Retry(ConstantBackoff(0.02), 500),  # keeps working after a restart
            retry_on_error=[redis.ConnectionError],
        )

    def start(self):
        self._embedded.start()
        return self

    def stop(self, *, kill=False):
        (self._embedded.kill if kill else self._embedded.stop)()

    def close(self):
        self.client.close()
        self._embedded.close()


def require_server():
    """Skip the test if no Redis server is installed, or fail it if CI=true."""
    try:
        find_server()
    except HannerError as error:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(str(error))


@contextmanager
def redis_server(*, persistent=True):
    """Run a server on a free port; see `choose_server` and `require_server`.

    It always persists its data; `persistent` documents that the test depends on that.
    """
    require_server()
    server = Server()
    try:
        yield server
    finally:
        server.close()
