"""Fixtures for tests with a real server: an empty one, and a stub of a worker."""

import pytest

from nerq import Client
from support.servers import redis_server
from support.stub_worker import StubWorker


@pytest.fixture(scope="module")
def running_server():
    with redis_server() as server:
        yield server


@pytest.fixture
def server(running_server):
    running_server.client.flushall()
    return running_server


@pytest.fixture
def worker(server):
    with StubWorker(server.url) as stub:
        yield stub


@pytest.fixture
def ner(server):
    with Client(server.url, timeout=10) as client:
        yield client
