"""The page in a real Chromium: the browser, a gateway on a free port, a worker that knows names by heart."""

import os
import re
import shutil
import socket
import threading
import time
from contextlib import contextmanager

import pytest
import uvicorn

from hanner.contract import EXTRACT
from hanner.settings import Settings
from hanner_gateway.app import make_app
from support.ports import free_port
from support.stub_worker import MODEL, success

NAMES = {
    "马云": "PER",
    "王小明": "PER",
    "Tim Cook": "PER",
    "杭州": "LOC",
    "北京": "LOC",
    "𠮷林": "LOC",
    "阿里巴巴": "ORG",
    "红楼梦": "CW",
    "五百元": "MONEY",
}
"""What the worker of these tests finds; two types are not of the usual three, one name is beyond the basic plane."""
ANY_NAME = re.compile("|".join(sorted(map(re.escape, NAMES), key=len, reverse=True)))
PATIENCE_MS = 60_000
BROWSERS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")


def missing(reason):
    """Skip on a laptop; fail where CI=true."""
    (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)


def find_chromium():
    """Return the path of a Chromium that is installed, or None."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


@contextmanager
def chromium():
    """Run a headless Chromium; yield Playwright's browser."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - not everyone who runs tests has it

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


def found(text):
    """Return the entities of a text as the worker of these tests finds them."""
    return [
        {"text": match[0], "type": NAMES[match[0]], "start": match.start(), "end": match.end(), "score": 0.9}
        for match in ANY_NAME.finditer(text)
    ]


def by_heart(request):
    """Answer for StubWorker: the entities of NAMES."""
    argument = request["argument"]
    if request["task"] == EXTRACT:
        return success({"entities": found(argument), "model": MODEL})
    return success({"documents": [{"entities": found(text)} for text in argument], "model": MODEL})


@contextmanager
def gateway(url, *, port=None, **settings):
    """Serve the real gateway over a Redis, on a thread; yield its address."""
    port = port or free_port()
    config = uvicorn.Config(
        make_app(Settings(broker_url=url, **settings)),
        port=port,
        log_level="warning",
        timeout_graceful_shutdown=1,  # streams of events are open as long as the page is
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        reach(port, thread)
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.should_exit = True
        thread.join(20)


def reach(port, thread):
    """Return when something listens on the port."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and thread.is_alive():
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
    raise AssertionError("the gateway does not listen")


def announce_worker(client, queue="hanner", **fields):
    """Write into Redis what a worker says of itself, its lease good for a minute."""
    seconds, _ = client.time()
    described = {
        "host": "test",
        "pid": 1,
        "processes": 2,
        "model": MODEL,
        "started": seconds,
        "texts": 10,
        "rate": 12.5,
        "batch_texts": 3.4,
        "latency_ms": 8.2,
        "unacked": 0,
        **fields,
    }
    client.hset(f"hanner:{queue}:worker:test", mapping=described)
    client.zadd(f"hanner:{queue}:leases", {"test": seconds * 1000 + 60_000})


def forget_worker(client, queue="hanner"):
    """Take back what `announce_worker` wrote: no worker runs."""
    client.zrem(f"hanner:{queue}:leases", "test")
    client.delete(f"hanner:{queue}:worker:test")


class Desk:
    """One open page, and what a user does with it and sees."""

    def __init__(self, page):
        self.page = page
        page.set_default_timeout(PATIENCE_MS)
        self.text = page.locator("#text")
        self.entities = page.locator("#overlay .entity")
        self.items = page.locator("#entity-list .item")
        self.notice = page.locator("#notice")
        self.card = page.locator("#card")
        self.problems = []
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", self._note)

    def _note(self, message):
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.problems.append(message.text)

    def open(self, url):
        self.page.goto(url, wait_until="commit")
        self.page.wait_for_selector("html[data-ready]")
        return self

    def fill(self, text):
        """Put a text in as by pasting; Playwright's own way takes seconds for hundreds of lines."""
        if text.count("\n") < 20:
            self.text.fill(text)
        else:
            self.text.evaluate(
                "(area, text) => { area.value = text; area.dispatchEvent(new InputEvent('input')); }", text
            )

    def highlighted(self):
        """Return what is highlighted, as (words, slot) in the text's order."""
        return [
            tuple(pair)
            for pair in self.entities.evaluate_all(
                "all => all.map(e => [e.textContent, Number(/slot-(\\d)/.exec(e.className)[1])])"
            )
        ]

    def wait_for_highlights(self, count):
        self.page.wait_for_function("n => document.querySelectorAll('#overlay .entity').length === n", arg=count)

    def wait_for_notice(self, code):
        self.page.wait_for_selector(f"#notice[data-code='{code}']:not([hidden])")
        return self.notice.inner_text()

    def toggle(self, kind):
        return self.page.locator(f"#filter [data-type='{kind}']")

    def overlay_text(self):
        """Return the text as it is seen."""
        return self.page.locator("#overlay").evaluate(
            "o => [...o.querySelectorAll('.chunk')].map(c => c.textContent).join('')"
        )
