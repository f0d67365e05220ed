"""Run a real Redis for tests: `with redis_server() as server:`. It is hanner's own embedded server."""

import os
from contextlib import contextmanager

import pytest
import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from hanner.cli.local_redis import EmbeddedServer, find_server
from hanner.errors import HannerError


class Server:
    """A server that can be stopped or killed, and restarted on the same port with its data."""

    def __init__(self):
        self._embedded = EmbeddedServer().start()
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
    """Run a server on a free port; see `require_server`.

    It always persists its data; `persistent` documents that the test depends on that.
    """
    require_server()
    server = Server()
    try:
        yield server
    finally:
        server.close()
