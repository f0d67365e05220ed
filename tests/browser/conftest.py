"""Fixtures: one Chromium and one Redis for all tests, and a new page for each test."""

import importlib.util

import pytest

from support.page import NerPage, announce_worker, answer_from_names, chromium, find_chromium, gateway, skip_or_fail
from support.servers import redis_server
from support.stub_worker import StubWorker


@pytest.fixture(scope="session")
def browser():
    if importlib.util.find_spec("playwright") is None:
        skip_or_fail("Playwright is not installed; `make test-browser` installs it")
    if find_chromium() is None:
        skip_or_fail("no Chromium is installed; `make test-browser` installs Debian's")
    with chromium() as running:
        yield running


@pytest.fixture(scope="session")
def redis():
    with redis_server() as server:
        yield server


@pytest.fixture
def queue(redis):
    """An empty Redis with the state of a running worker."""
    redis.client.flushdb()
    announce_worker(redis.client)
    return redis


@pytest.fixture
def worker(queue):
    """A stub worker that finds NAMES."""
    with StubWorker(queue.url) as stub:
        stub.behaviour = answer_from_names
        yield stub


@pytest.fixture(scope="session")
def site(redis):
    """The URL of a gateway."""
    with gateway(redis.url) as address:
        yield address


@pytest.fixture
def new_desk(browser):
    """Return a function that opens a page; errors in its console fail the test."""
    desks = []

    def make(address, *, without_limits=False, **context):
        options = {"viewport": {"width": 1280, "height": 800}, "locale": "en-GB", **context}
        desk = NerPage(browser.new_context(**options).new_page())
        desks.append(desk)
        if without_limits:
            desk.page.route("**/api/v1/info", lambda route: route.fulfill(status=404, json={}))
        return desk.open(address)

    yield make
    problems = [problem for desk in desks for problem in desk.problems]
    for desk in desks:
        desk.page.context.close()
    assert not problems


@pytest.fixture
def desk(worker, site, new_desk):
    """An open page with a gateway and a worker."""
    return new_desk(site)


@pytest.fixture
def module_desk(worker, site, new_desk):
    """The same page, into which a test can import single modules; its content security policy would forbid it."""
    desk = new_desk(site, bypass_csp=True)
    desk.serve_sources()
    return desk


@pytest.fixture
def phone(worker, site, new_desk):
    """The same page on a phone."""
    return new_desk(site, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True, device_scale_factor=2)
