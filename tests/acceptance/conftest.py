"""Fixtures of the acceptance tests: one Redis per test, a Celery app without hanner, and a stub worker."""

import pytest

from support.servers import redis_server
from support.stub_worker import StubWorker
from support.workers import Events, foreign_app


@pytest.fixture
def server():
    with redis_server() as server:
        yield server


@pytest.fixture
def broker(server):
    return server.url


@pytest.fixture
def app(server):
    with foreign_app(server.url) as app:
        yield app


@pytest.fixture
def events(app):
    with Events(app) as events:
        yield events


@pytest.fixture
def worker(broker):
    with StubWorker(broker) as stub:
        yield stub
