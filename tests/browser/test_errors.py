"""Errors are shown with their reason, and temporary ones are retried."""

import pytest

from support.page import announce_worker, answer_from_names, gateway, remove_worker
from support.ports import free_port
from support.servers import redis_server
from support.stub_worker import StubWorker, failed

KEY = "letmein"


def problem_response(status, code, detail="", **headers):
    """Return a route handler that answers with a problem."""

    def answer(route):
        body = {"type": "about:blank", "title": "x", "status": status, "code": code, "detail": detail}
        route.fulfill(status=status, json=body, headers={"content-type": "application/problem+json", **headers})

    return answer


def test_invalid_text(desk):
    desk.page.evaluate("""() => {
        const text = document.getElementById('text');
        text.value = '马云\\ud83d在杭州';
        text.dispatchEvent(new InputEvent('input'));
    }""")
    words = desk.wait_for_notice("invalid_text")
    assert "This text is invalid." in words
    assert "lone surrogate" in words
    desk.fill("马云")
    desk.wait_for_highlights(1)
    assert not desk.notice.is_visible()


def test_stopped_worker(queue, new_desk):
    remove_worker(queue.client)
    with gateway(queue.url, timeout=1.5) as address:
        desk = new_desk(address)
        desk.page.wait_for_selector(".status-workers[data-state='down']")
        desk.fill("马云")
        assert "hanner up" in desk.wait_for_notice("no_worker")  # while it waits
        assert "no worker is running" in desk.wait_for_notice("timed_out_no_worker")
        announce_worker(queue.client)
        with StubWorker(queue.url) as stub:
            stub.behaviour = answer_from_names
            desk.wait_for_highlights(1)  # retried when the status bar sees the worker
            desk.page.wait_for_selector(".status-workers[data-state='up']")
            assert not desk.notice.is_visible()


def test_full_queue_shows_a_countdown_and_retries(desk):
    desk.page.clock.install()
    answers = [problem_response(429, "queue_full", "300 texts wait", **{"Retry-After": "7"})]
    desk.page.route("**/api/v1/ner", lambda route: answers.pop()(route) if answers else route.fallback())
    desk.fill("马云")
    desk.page.clock.run_for(2000)
    words = desk.wait_for_notice("queue_full")
    assert "The queue is full." in words
    assert "300 texts wait" in words
    count = desk.page.locator(".notice-count")
    left = int(count.inner_text().split()[-2])
    assert 4 <= left <= 7
    desk.page.clock.run_for(2000)
    assert int(count.inner_text().split()[-2]) <= left - 2  # the page's clock runs on by itself too
    desk.fill("马云在杭州")
    desk.page.clock.run_for(1000)
    assert desk.notice.is_visible()  # the countdown also applies to another text
    desk.page.clock.run_for(9000)
    desk.wait_for_highlights(2)
    assert not desk.notice.is_visible()


def test_rate_limit(queue, new_desk):
    with gateway(queue.url, rate_limit="1/hour") as address:
        desk = new_desk(address)  # the status bar's request uses the limit
        desk.page.wait_for_selector(".status-workers[data-state='up']")
        desk.fill("马云")
        words = desk.wait_for_notice("rate_limited")
        assert "Too many requests." in words
        assert "Trying again in 3" in words


def test_offline(desk):
    desk.page.context.set_offline(True)
    desk.fill("马云")
    assert "cannot be reached" in desk.wait_for_notice("offline")
    desk.page.wait_for_selector(".status-workers[data-state='unknown']")
    desk.page.context.set_offline(False)
    desk.wait_for_highlights(1)
    assert not desk.notice.is_visible()


def test_restarted_gateway(queue, worker, new_desk):
    port = free_port()
    with gateway(queue.url, port=port) as address:
        desk = new_desk(address)
    desk.fill("马云")
    desk.wait_for_notice("offline")
    with gateway(queue.url, port=port):
        desk.wait_for_highlights(1)  # retried
        assert not desk.notice.is_visible()


def test_unreachable_redis(new_desk):
    with redis_server() as server, gateway(server.url, connect_timeout=0.5, timeout=2) as address:
        desk = new_desk(address)
        server.stop()
        desk.fill("马云")
        assert "cannot reach its queue" in desk.wait_for_notice("broker_unreachable")
        assert "Trying again in" in desk.notice.inner_text()


def test_model_failure_can_be_retried(desk, worker):
    worker.behaviour = lambda request: failed("ModelFailed", "no", module="hanner.errors")
    desk.fill("马云")
    desk.page.wait_for_selector("#notice:not([hidden])")
    assert desk.notice.get_attribute("data-code") == "model_failed"
    worker.behaviour = answer_from_names
    desk.notice.get_by_role("button", name="Try again").click()
    desk.wait_for_highlights(1)


def test_api_key(queue, worker, new_desk):
    with gateway(queue.url, api_keys=KEY) as address:
        desk = new_desk(address)
        desk.fill("马云")
        desk.wait_for_notice("unauthorized")
        field = desk.page.get_by_label("Key", exact=True)
        assert not desk.page.locator("#key-wrong").is_visible()
        desk.page.keyboard.press("Escape")
        desk.fill("马云在")
        desk.page.wait_for_function("() => performance.getEntriesByName(document.baseURI + 'api/v1/ner').length > 1")
        assert not field.is_visible()  # a closed dialog does not open again for each request
        desk.notice.get_by_role("button", name="Enter key").click()
        field.fill("wrong")
        desk.page.keyboard.press("Enter")
        desk.page.locator("#key-wrong").wait_for()
        field.fill(KEY)
        desk.page.get_by_role("button", name="Use key").click()
        desk.wait_for_highlights(1)
        desk.page.wait_for_selector(".status-workers[data-state='up']")
        stored = desk.page.evaluate("() => [Object.values(sessionStorage), Object.values(localStorage)]")
        assert stored == [[KEY], []]


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (502, "<html>Bad gateway</html>", "cannot be reached"),
        (500, "oops", "Something went wrong"),
        (413, "", "too large"),
        (200, "<html>a captive portal</html>", "Something went wrong"),
        (200, "{}", "Something went wrong"),
    ],
)
def test_responses_of_proxies(desk, status, body, words):
    desk.page.route("**/api/v1/ner", lambda route: route.fulfill(status=status, body=body))
    desk.fill("马云")
    desk.page.wait_for_selector("#notice:not([hidden])")
    assert words in desk.notice.inner_text()


def test_status_bar(desk, queue):
    announce_worker(queue.client, processes=3, batch_texts=5.25, latency_ms=41.6)
    desk.page.wait_for_function("() => document.getElementById('status-batch').textContent.startsWith('5.')")
    assert desk.page.locator(".status-workers").inner_text() == "Service: running"
    assert not desk.page.locator(".status-bar").is_visible()  # closed until it is asked for
    desk.page.locator(".status-workers").click()
    cells = desk.page.locator(".status-bar dd").all_inner_texts()
    assert cells == ["3", "0 texts", "5.3", "42 ms", "–", "stub"]
    desk.fill("马云")
    desk.wait_for_highlights(1)
    assert desk.page.locator("#status-result").inner_text().endswith(" ms")
