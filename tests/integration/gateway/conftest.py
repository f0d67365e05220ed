"""A gateway over a real server and a stub of a worker."""

import base64
import contextlib
import json

import pytest

from support.gateways import gateway


@pytest.fixture
def start(server):
    """Start gateways with settings of the test's own; all stop in the end."""
    with contextlib.ExitStack() as stack:
        yield lambda **overrides: stack.enter_context(gateway(server.url, **overrides))


@pytest.fixture(scope="module")
def running_site(running_server):
    with gateway(running_server.url) as site:
        yield site


@pytest.fixture
def site(running_site, server):
    """A gateway with default settings, shared by a module's tests, over an empty server."""
    return running_site


@pytest.fixture
def revoked(server):
    """Return a function that waits until workers are told to revoke something, and returns that."""
    with server.client.pubsub(ignore_subscribe_messages=False) as workers:
        workers.psubscribe("*pidbox")
        assert workers.get_message(timeout=5)["type"] == "psubscribe"

        def wait(timeout=10):
            message = workers.get_message(timeout=timeout)
            return message and base64.b64decode(json.loads(message["data"])["body"]).decode()

        yield wait
