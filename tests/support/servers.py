"""A real Redis for tests: `with redis_server() as server:`. It is nerq's own embedded server."""

import os
from contextlib import contextmanager

import pytest
import redis

from nerq.embedded import EmbeddedServer, find_server
from nerq.errors import NerqError


class Server:
    """A server that can be stopped and started again on the same port, with its data."""

    def __init__(self):
        self.embedded = EmbeddedServer()

    @property
    def port(self):
        return self.embedded.port

    @property
    def url(self):
        return self.embedded.url

    def start(self):
        self.embedded.start()
        self.client = redis.Redis.from_url(self.url, decode_responses=True)
        return self

    def stop(self, *, kill=False):
        self.client.close()
        (self.embedded.kill if kill else self.embedded.stop)()

    def close(self):
        self.client.close()
        self.embedded.close()


@contextmanager
def redis_server(*, persistent=True):
    """Run a server on a free port; without one to run, tests are skipped on a laptop and fail where CI=true."""
    try:
        find_server()
    except NerqError as error:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(str(error))
    server = Server()
    try:
        yield server.start()
    finally:
        server.close()
