"""Fixtures of the integration tests: an empty Redis, a client, a stub worker, an in-flight store."""

import pytest
import redis

from hanner import Client
from support.ledgers import make_ledger
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


@pytest.fixture
def client(server):
    """A separate connection, such as a worker's."""
    with redis.Redis.from_url(server.url) as client:
        yield client


@pytest.fixture
def ledger():
    return make_ledger()
