"""A pytest plugin: a Redis server for each test process, whose address is where the tests look for it."""

import os

import pytest

from support.servers import Server, choose_server

_servers = []
"""They end with the process: results that are collected at its exit still unsubscribe."""


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests():  # upstream's conftest.py reads the address when it is imported
    choose_server()
    server = Server()
    _servers.append(server)
    os.environ.update(
        TEST_BROKER=server.url,
        TEST_BACKEND=server.url,
        REDIS_HOST="127.0.0.1",
        REDIS_PORT=str(server.port),
        REDIS_6379_TCP=str(server.port),
    )
