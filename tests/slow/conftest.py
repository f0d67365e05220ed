"""Fixtures of the slow tests, one Redis per test and a stub worker; and their order."""

import pytest

from support.servers import redis_server
from support.stub_worker import StubWorker

FIRST = ("test_readme_steps.py", "test_wheel.py", "test_schemathesis.py")
"""Modules whose tests or fixtures take longest. Each of the first two installs hanner into a new environment once."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Put the longest modules first.

    Idle processes of pytest-xdist take tests from the end of another one's queue. At the end, these modules would be
    taken apart, so that several processes would install hanner, while the last ones to end have nothing else to do.
    """
    items.sort(key=lambda item: FIRST.index(item.path.name) if item.path.name in FIRST else len(FIRST))


@pytest.fixture
def server():
    with redis_server() as server:
        yield server


@pytest.fixture
def worker(server):
    with StubWorker(server.url) as stub:
        yield stub
