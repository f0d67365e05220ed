"""Fixtures of the slow tests: one Redis per test and a stub worker."""

import pytest

from support.servers import redis_server
from support.stub_worker import StubWorker


@pytest.fixture
def server():
    with redis_server() as server:
        yield server


@pytest.fixture
def worker(server):
    with StubWorker(server.url) as stub:
        yield stub
