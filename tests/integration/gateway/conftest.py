"""Fixtures: gateways in front of a real Redis and a stub worker."""

import base64
import contextlib
import json
from functools import partial

import pytest

from hanner_gateway import app
from hanner_gateway.models import Models
from support.gateways import gateway
from support.stub_worker import register_worker
from support.waiting import DEADLINE


@pytest.fixture
def start(server):
    """Return a function that starts a gateway with the given settings; all stop after the test."""
    with contextlib.ExitStack() as stack:
        yield lambda **overrides: stack.enter_context(gateway(server.url, **overrides))


@pytest.fixture(scope="module")
def running_site(running_server):
    with gateway(running_server.url) as site:
        yield site


@pytest.fixture
def site(running_site, server):
    """A gateway with default settings, shared by the tests of a module, and an empty Redis."""
    return running_site


@pytest.fixture
def lease(server):
    """Return a function that registers a worker with these fields of its status."""

    return partial(register_worker, server.client)


@pytest.fixture
def revoked(server):
    """Return a function that waits for the next revoke command and returns its body."""
    with server.client.pubsub(ignore_subscribe_messages=False) as workers:
        workers.psubscribe("*pidbox")
        assert workers.get_message(timeout=60)["type"] == "psubscribe"

        def wait(timeout=DEADLINE):
            message = workers.get_message(timeout=timeout)
            return message and base64.b64decode(json.loads(message["data"])["body"]).decode()

        yield wait


class Clock:
    """A clock that tests advance."""

    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def models_clock(monkeypatch, clock):
    """The clock of the cached reports about models, in gateways that start later."""
    monkeypatch.setattr(app, "Models", partial(Models, clock=clock))
    return clock
