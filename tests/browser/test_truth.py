"""What is shown and copied belongs to the text on screen, however late answers arrive and in whatever order."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.page import found, gateway, remove_worker
from support.ports import free_port

FAKE_FETCH = """() => {
    const real = window.fetch;
    window.requests = []; // the fake ignores the signal: answers to aborted requests arrive too
    window.copied = null;
    window.fetch = (url, options) => {
        if (!String(url).endsWith('/ner')) return real(url, options);
        return new Promise((resolve, reject) => {
            requests.push({ text: JSON.parse(options.body).text, resolve, reject });
        });
    };
    Object.defineProperty(navigator, 'clipboard', { value: { writeText: async (text) => { window.copied = text; } } });
}"""
ENTER = """(text) => {
    const area = document.getElementById('text');
    area.value = text;
    area.dispatchEvent(new InputEvent('input'));
}"""
ANSWER = """([index, kind, found]) => {
    const [request] = requests.splice(index, 1);
    const json = (status, body, headers) =>
        request.resolve(new Response(JSON.stringify(body), { status, headers }));
    if (kind === 'names') json(200, { entities: found });
    else if (kind === 'refused') json(422, { code: 'invalid_text', detail: 'no' });
    else if (kind === 'full') json(429, { code: 'queue_full' }, { 'Retry-After': '1' });
    else if (kind === 'lost') request.reject(new TypeError('Failed to fetch'));
    else json(200, { entities: [{ text: '错', type: 'PER', start: 0, end: 1, score: 0.5 }] });
}"""
VIEW = """async () => {
    await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve))); // the list is drawn in a frame
    window.copied = null;
    const button = document.getElementById('copy');
    button.click();
    await Promise.resolve();
    return {
        text: document.getElementById('text').value,
        drawn: [...document.querySelectorAll('#overlay .chunk')].map((chunk) => chunk.textContent).join(''),
        marks: [...document.querySelectorAll('#overlay .entity')].map((entity) => entity.textContent),
        items: [...document.querySelectorAll('#entity-list .item-text')].map((item) => item.textContent),
        counts: [...document.querySelectorAll('#filter .count')].map((count) => count.textContent),
        summary: document.getElementById('summary').textContent,
        disabled: button.disabled,
        copied: window.copied,
    };
}"""
TEXTS = ("马云在杭州", "今天天气不错", "马云，马云在北京", "杭州", "王小明在阿里巴巴", "")
STEPS = st.one_of(
    st.tuples(st.just("enter"), st.sampled_from(TEXTS)),
    st.tuples(
        st.just("answer"), st.integers(0, 3), st.sampled_from(("names", "names", "refused", "full", "lost", "wrong"))
    ),
    st.tuples(st.just("send")),  # wait until a request of the current text is sent
)


def check(view, answered):
    """Fail if the view shows or copies something that does not belong to its text.

    Args:
        view: The result of VIEW.
        answered: The texts to which the server has sent names.
    """
    text, names = view["text"], [entity["text"] for entity in found(view["text"])]
    assert view["drawn"] == text
    assert set(view["items"]) == set(view["marks"])
    assert set(view["marks"]) <= set(names)
    if not text:
        assert (view["marks"], view["disabled"], view["copied"]) == ([], True, None)
    elif view["disabled"]:
        assert view["copied"] is None
        assert view["summary"] in {"Recognising…", "No result for this text"}
        assert set(view["counts"]) == {"…"}
        if view["summary"] == "No result for this text":
            assert view["marks"] == []
    else:
        assert text in answered
        assert view["marks"] == names
        copied = json.loads(view["copied"])
        assert copied["text"] == text
        assert copied["entities"] == found(text)
        expected = {0: "No names found", 1: "1 name found"}.get(len(names), f"{len(names)} names found")
        assert view["summary"] == expected


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, min_size=2, max_size=9))
def test_what_is_copied_belongs_to_what_is_shown(faked, steps):
    page, answered = faked.page, set()
    page.evaluate(ENTER, "")
    page.evaluate("() => { requests.length = 0; }")
    for step in steps:
        if step[0] == "enter":
            page.evaluate(ENTER, step[1])
        elif step[0] == "answer":
            waiting = page.evaluate("() => requests.map((request) => request.text)")
            if waiting:
                index, kind = step[1] % len(waiting), step[2]
                answered |= {waiting[index]} if kind == "names" else set()
                page.evaluate(ANSWER, [index, kind, found(waiting[index])])
        elif page.evaluate(VIEW)["summary"] == "Recognising…":  # VIEW waits until the summary is drawn
            page.wait_for_function("() => requests.some(({ text }) => text === document.getElementById('text').value)")
        check(page.evaluate(VIEW), answered)


@pytest.fixture
def faked(desk):
    """A page whose requests are answered by the test."""
    desk.page.evaluate(FAKE_FETCH)
    return desk


def wait_for_summary(desk, words):
    desk.page.wait_for_function("words => document.getElementById('summary').textContent === words", arg=words)
    view = desk.page.evaluate(VIEW)
    assert view["disabled"]
    assert view["marks"] == view["items"] == []
    assert set(view["counts"]) == {"…"}


def test_no_result_is_shown_while_a_request_is_under_way(desk, worker):
    worker.hold()
    desk.fill("马云")
    worker.wait_for(1)
    wait_for_summary(desk, "Recognising…")
    worker.release()
    desk.page.locator("#summary", has_text="1 name found").wait_for()
    assert desk.page.locator("#copy").is_enabled()


def test_no_result_is_shown_without_a_worker(queue, site, new_desk):
    remove_worker(queue.client)
    desk = new_desk(site)
    desk.page.wait_for_selector(".status-workers[data-state='down']")
    desk.fill("马云")
    desk.wait_for_notice("no_worker")
    wait_for_summary(desk, "No result for this text")


def test_no_result_is_shown_without_a_gateway(queue, worker, new_desk):
    with gateway(queue.url, port=free_port()) as address:
        desk = new_desk(address)
        desk.fill("马云")
        desk.wait_for_highlights(1)
    desk.text.press("End")
    desk.page.keyboard.insert_text("在杭州")
    desk.wait_for_notice("offline")
    wait_for_summary(desk, "No result for this text")


def test_names_of_the_previous_text_disappear_when_a_text_is_refused(desk):
    desk.fill("马云")
    desk.wait_for_highlights(1)
    refusal = {"code": "invalid_text", "detail": "the text has 100,001 characters and the limit is 100,000"}
    desk.page.route("**/api/v1/ner", lambda route: route.fulfill(status=422, json=refusal))
    desk.text.press("End")
    desk.page.keyboard.insert_text("在杭州")
    assert "null" not in desk.wait_for_notice("invalid_text")
    wait_for_summary(desk, "No result for this text")
    assert desk.notice.get_by_role("button").count() == 0  # the same text would be refused again


def test_a_result_that_does_not_match_removes_the_previous_names(desk):
    desk.fill("马云")
    desk.wait_for_highlights(1)
    wrong = {"text": "马云", "type": "PER", "start": 1, "end": 3, "score": 0.5}
    desk.page.route("**/api/v1/ner", lambda route: route.fulfill(json={"entities": [wrong]}))
    desk.text.press("End")
    desk.page.keyboard.insert_text("在杭州")
    desk.wait_for_notice("mismatch")
    wait_for_summary(desk, "No result for this text")
