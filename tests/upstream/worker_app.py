"""A pytest plugin for Celery's tests: their one worker is hanner's, with their tasks registered beside its own.

The app is make_worker_app's, so their tasks are delivered by hanner's channel, consumer and event dispatcher, and run
in the pool as Celery's own strategy runs them. The tests' own apps, which send, are Celery's.
"""

import gc
import os

import pytest
from celery.contrib.testing import app as testing_app
from celery.contrib.testing.tasks import ping  # noqa: F401 - a shared task: every app gets it
from celery.result import _set_task_join_will_block

from hanner.settings import Settings
from hanner_worker.app import make_worker_app
from support.fakes.recogniser import FakeRecogniser


def make_app(config=None, **_):
    """Return the worker's app; Celery's fixture passes the configuration of its tests."""
    settings = Settings(broker_url=os.environ["TEST_BROKER"], queue="celery", log_text=True)
    app = make_worker_app(settings, load=lambda settings: FakeRecogniser("fake", lambda texts: [[] for _ in texts]))
    app.conf.update(testing_app.DEFAULT_TEST_CONFIG, **(config or {}))
    app.conf.task_queues = None  # the tests expect one queue, named celery
    return app


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef):
    if fixturedef.argname != "celery_session_app":
        return (yield)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(testing_app, "TestApp", make_app)
        return (yield)


@pytest.fixture(scope="session", autouse=True)
def worker_before_all_tests(celery_session_worker):
    """Start the worker first: some tests change the process, and pytest-xdist runs them in any order."""


@pytest.fixture(autouse=True)
def no_state_of_earlier_tests():
    """Collect results that nothing refers to, because some tests check that no result is subscribed to any more.

    Permit waiting for results: the workers that other tests create in this process forbid it.
    """
    gc.collect()
    _set_task_join_will_block(False)


def pytest_collection_modifyitems(items):
    """Wait longer for results than upstream, whose tests run on idle machines; no test expects a timeout."""
    for module in {item.module for item in items}:
        if hasattr(module, "TIMEOUT"):
            module.TIMEOUT = 120
