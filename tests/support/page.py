"""The page in a real Chromium: the browser, a gateway on a free port, and a stub worker that finds fixed names."""

import os
import re
import shutil
import socket
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn

from hanner.contract import EXTRACT
from hanner.settings import Settings
from hanner_gateway.app import make_app
from support.ports import free_port
from support.stub_worker import MODEL, success
from support.waiting import wait_until

SOURCES = Path(__file__).parents[2] / "producer" / "page"
"""The page's modules before they are bundled."""
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
"""Names that the stub worker finds. Two types are not PER, LOC or ORG; one name is outside the basic plane."""
ANY_NAME = re.compile("|".join(sorted(map(re.escape, NAMES), key=len, reverse=True)))
TIMEOUT_MS = 60_000
BROWSERS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")


def skip_or_fail(reason):
    """Skip the test, or fail it if CI=true."""
    (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)


def find_chromium():
    """Return the path of an installed Chromium, or None."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


@contextmanager
def chromium():
    """Run a headless Chromium and yield Playwright's browser."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - an optional dependency

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


def found(text):
    """Return the entities that the stub worker finds in a text."""
    return [
        {"text": match[0], "type": NAMES[match[0]], "start": match.start(), "end": match.end(), "score": 0.9}
        for match in ANY_NAME.finditer(text)
    ]


def answer_from_names(request):
    """Return the answer to a request; a `behaviour` of StubWorker."""
    argument = request["argument"]
    if request["task"] == EXTRACT:
        return success({"entities": found(argument), "model": MODEL})
    return success({"documents": [{"entities": found(text)} for text in argument], "model": MODEL})


@contextmanager
def gateway(url, *, port=None, **settings):
    """Run the real gateway in a thread and yield its address."""
    port = port or free_port()
    config = uvicorn.Config(
        make_app(Settings(broker_url=url, **settings)),
        port=port,
        log_level="warning",
        timeout_graceful_shutdown=1,  # event streams stay open as long as the page
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_until_listening(port, thread)
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.should_exit = True
        thread.join(60)


def wait_until_listening(port, thread):
    """Wait until the gateway accepts connections."""

    def accepts():
        assert thread.is_alive(), "the gateway ended"
        with socket.create_connection(("127.0.0.1", port)):
            return True

    wait_until(accepts)


def announce_worker(client, queue="hanner", **fields):
    """Write the status of a worker to Redis, with a lease of one minute."""
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


def remove_worker(client, queue="hanner"):
    """Remove what `announce_worker` wrote."""
    client.zrem(f"hanner:{queue}:leases", "test")
    client.delete(f"hanner:{queue}:worker:test")


class NerPage:
    """A page object: one open page, with the actions and the view of a user."""

    def __init__(self, page):
        self.page = page
        page.set_default_timeout(TIMEOUT_MS)
        self.text = page.locator("#text")
        self.entities = page.locator("#overlay .entity")
        self.items = page.locator("#entity-list .item")
        self.notice = page.locator("#notice")
        self.card = page.locator("#card")
        self.problems = []
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", self._record_error)

    def _record_error(self, message):
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.problems.append(message.text)

    def open(self, url):
        self.page.goto(url, wait_until="commit")
        self.page.wait_for_selector("html[data-ready]")
        return self

    def serve_sources(self):
        """Serve the page's sources under /source/ for imports of single modules; the context has bypass_csp=True."""

        def serve(route):
            path = SOURCES / route.request.url.partition("/source/")[2]
            route.fulfill(path=path, content_type="text/javascript")

        self.page.route("**/source/**", serve)

    def fill(self, text):
        """Enter a text as if it was pasted. Playwright's own method takes seconds for hundreds of lines."""
        if text.count("\n") < 20:
            self.text.fill(text)
        else:
            self.text.evaluate(
                "(area, text) => { area.value = text; area.dispatchEvent(new InputEvent('input')); }", text
            )

    def highlighted(self):
        """Return the highlights as (words, slot), in the order of the text."""
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
        """Return the displayed text."""
        return self.page.locator("#overlay").evaluate(
            "o => [...o.querySelectorAll('.chunk')].map(c => c.textContent).join('')"
        )
