"""Fixtures for tests with a real server: an empty one, a stub of a worker, an in-flight store."""

import pytest
import redis

from hanner import Client
from hanner.settings import Settings
from hanner.transport.celery_app import make_celery
from support.inflight import make_inflight
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
    with Client(server.url, timeout=60) as client:
        yield client


@pytest.fixture
def client(server):
    """A separate connection, such as a worker's."""
    with redis.Redis.from_url(server.url) as client:
        yield client


@pytest.fixture
def inflight():
    return make_inflight()


@pytest.fixture
def app(server):
    app = make_celery(Settings(broker_url=server.url, result_ttl=77))
    yield app
    app.backend.client.close()
    app.close()


@pytest.fixture
def backend(app):
    return app.backend
