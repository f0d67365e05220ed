"""Fixtures of the tests of canvases: hanner's worker and another app's, shared by the tests of a module."""

import pytest

from support.servers import redis_server
from support.shop import shop_worker
from support.workers import foreign_app, worker


@pytest.fixture(scope="module")
def server():
    with redis_server() as server:
        yield server


@pytest.fixture(scope="module")
def running(server):
    with worker(server.url, "-c", "1") as running, shop_worker(server.url):
        yield running


@pytest.fixture(scope="module")
def app(server, running):
    with foreign_app(server.url) as app:
        app.conf.task_routes = {"hanner.*": {"queue": "hanner"}}
        yield app
