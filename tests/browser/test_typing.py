"""Highlights while the user types."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

SENTENCE = "马云在杭州阿里巴巴总部发表演讲"


def test_typing_highlights(desk):
    desk.text.press_sequentially(SENTENCE)
    desk.wait_for_highlights(3)
    assert desk.highlighted() == [("马云", 0), ("杭州", 1), ("阿里巴巴", 2)]
    assert desk.items.all_inner_texts() == [
        "●\n马云\nPerson\n90 %",
        "◆\n杭州\nPlace\n90 %",
        "■\n阿里巴巴\nOrganisation\n90 %",
    ]
    assert desk.page.locator("#summary").inner_text() == "3 names found"
    desk.page.locator("#characters").get_by_text("15 of 100,000 characters").wait_for()


def test_types_differ_in_more_than_colour(desk):
    desk.fill(SENTENCE)
    desk.wait_for_highlights(3)
    seen = desk.entities.evaluate_all(
        "all => all.map(e => [e.dataset.label, getComputedStyle(e).textDecorationStyle, getComputedStyle(e).color])"
    )
    for signs in zip(*seen, strict=True):
        assert len(set(signs)) == 3
    assert [label for label, *_ in seen] == ["● PER", "◆ LOC", "■ ORG"]


def test_types_of_another_model(desk):
    desk.fill("王小明花五百元买《红楼梦》")
    desk.wait_for_highlights(3)
    assert desk.highlighted() == [("王小明", 0), ("五百元", 3), ("红楼梦", 4)]
    assert desk.toggle("MONEY").inner_text().split("\n") == ["▲", "Money", "1"]
    desk.toggle("MONEY").click()
    assert desk.highlighted() == [("王小明", 0), ("红楼梦", 4)]


def test_highlights_move_with_the_text_before_the_result(desk, worker):
    desk.fill(SENTENCE)
    desk.wait_for_highlights(3)
    worker.hold()
    desk.text.press("Control+Home")
    desk.page.keyboard.insert_text("今天")
    assert desk.highlighted() == [("马云", 0), ("杭州", 1), ("阿里巴巴", 2)]
    assert desk.overlay_text() == "今天" + SENTENCE
    desk.text.press("Control+Home")
    for _ in range(3):
        desk.text.press("Delete")  # part of 马云, whose highlight is removed
    assert desk.highlighted() == [("杭州", 1), ("阿里巴巴", 2)]
    worker.release()
    desk.wait_for_highlights(2)


def test_stale_results_are_dropped(desk, worker):
    worker.hold()
    desk.fill("马云")
    worker.wait_for(1)
    desk.fill("杭州")
    worker.wait_for(2)
    worker.release()  # answers the first, then the second
    desk.wait_for_highlights(1)
    assert desk.highlighted() == [("杭州", 1)]


def test_obsolete_request_is_aborted(desk, worker):
    worker.hold()
    desk.fill("马云")
    worker.wait_for(1)
    with desk.page.expect_event("requestfailed") as aborted:
        desk.fill("杭州")
    assert aborted.value.post_data_json["text"] == "马云"
    worker.wait_for(2)
    worker.release()
    desk.wait_for_highlights(1)


def test_one_request_for_quick_typing(desk, worker):
    desk.page.evaluate("""() => {
        const text = document.getElementById('text');
        for (const character of '马云在杭州') {
            text.value += character;
            text.dispatchEvent(new InputEvent('input'));
        }
    }""")
    desk.wait_for_highlights(2)
    assert [request["argument"] for request in worker.requests] == ["马云在杭州"]


def test_first_key_after_a_pause_is_sent_at_once(module_desk):
    """Keys that follow within the delay share one request; the clock of the page is under the test's control."""
    sent = module_desk.page.evaluate("""async () => {
        const { LiveExtraction } = await import('/source/js/live.js');
        let now = 1000;
        let timers = [];
        performance.now = () => now;
        window.setTimeout = (run, delay) => timers[timers.push({ run, at: now + delay }) - 1];
        window.clearTimeout = (timer) => { timers = timers.filter((each) => each !== timer); };
        const sent = [];
        const live = new LiveExtraction({
            extract: async (text) => { sent.push([now - 1000, text]); return new Promise(() => {}); },
            onResult: () => {}, onState: () => {},
        });
        const advance = (to) => {
            for (; now <= to; now++)
                for (const due of timers.filter(({ at }) => at <= now)) { clearTimeout(due); due.run(); }
            now = to;
        };
        for (const [at, text] of [[0, 'a'], [10, 'ab'], [20, 'abc'], [60, 'abcd'], [200, 'abcde'], [201, 'abcdef']]) {
            advance(1000 + at);
            live.change(text);
        }
        advance(1300);
        return sent;
    }""")
    assert sent == [[0, "a"], [50, "abc"], [90, "abcd"], [200, "abcde"], [231, "abcdef"]]


def test_no_request_while_an_input_method_composes(desk, worker):
    desk.text.focus()
    cdp = desk.page.context.new_cdp_session(desk.page)
    for composed in ("m", "ma", "ma y", "ma yun"):
        end = len(composed)
        cdp.send("Input.imeSetComposition", {"text": composed, "selectionStart": end, "selectionEnd": end})
    assert desk.overlay_text() == "ma yun"
    assert desk.page.locator("#overlay .composing").inner_text() == "ma yun"
    cdp.send("Input.insertText", {"text": "马云"})
    desk.wait_for_highlights(1)
    assert [request["argument"] for request in worker.requests] == ["马云"]
    assert desk.page.locator("#overlay .composing").count() == 0


def test_blank_text_sends_no_request(desk, worker):
    desk.fill(" \n　 ")
    assert desk.page.locator("#summary").inner_text() == "Names appear here when you enter text."
    desk.fill("马云")
    desk.wait_for_highlights(1)
    desk.page.locator("#clear").click()
    desk.wait_for_highlights(0)
    assert [request["argument"] for request in worker.requests] == ["马云"]
    assert desk.text.input_value() == ""


@pytest.mark.parametrize(
    "text",
    [
        "<img src=x onerror=document.title='pwned'>马云",
        "<script>document.title='pwned'</script>马云",
        "\"'><svg onload=document.title='pwned'>马云&lt;b&gt;&amp;",
        "{{constructor.constructor('document.title=1')()}}马云${1}",
    ],
)
def test_markup_is_shown_as_text(desk, text):
    desk.fill(text)
    desk.wait_for_highlights(1)
    assert desk.overlay_text() == text
    tags = desk.page.locator("#overlay *").evaluate_all("all => all.map((each) => each.tagName)")
    assert set(tags) == {"DIV", "SPAN"}
    assert desk.page.title() == "hanner: names in Chinese text"


def test_markup_from_the_server_is_shown_as_text(desk):
    evil = "<img src=x onerror=document.title=1>"
    entity = {"text": "马云", "type": evil, "start": 0, "end": 2, "score": 0.5}
    desk.page.route("**/api/v1/ner", lambda route: route.fulfill(json={"entities": [entity]}))
    desk.fill("马云")
    desk.wait_for_highlights(1)
    assert evil in desk.items.first.inner_text()
    assert desk.page.locator("main img").count() == 0


def test_offsets_after_emoji(desk):
    text = "😀👨‍👩‍👧马云🎉在𠮷林，Ｔim。𠮷林"
    desk.fill(text)
    desk.wait_for_highlights(3)
    assert desk.highlighted() == [("马云", 0), ("𠮷林", 1), ("𠮷林", 1)]
    assert desk.overlay_text() == text
    desk.items.first.click()
    desk.card.wait_for()
    assert "Offsets 6–8" in desk.card.inner_text()  # code points: 😀, then five of the family


def test_result_that_does_not_match_the_text_is_not_shown(desk):
    entity = {"text": "马云", "type": "PER", "start": 1, "end": 3, "score": 0.5}
    desk.page.route("**/api/v1/ner", lambda route: route.fulfill(json={"entities": [entity]}))
    desk.fill("马云在杭州")
    desk.wait_for_notice("mismatch")
    assert desk.highlighted() == []


CHARACTERS = st.text(st.sampled_from("马云在杭州ab ，。\n\t😀𠮷<&\u3000\u200b\u0301"), max_size=60)
APPLY = """(edits) => {
    const area = document.getElementById('text');
    for (const [at, removed, inserted] of edits) {
        const start = Math.min(at, area.value.length);
        area.setRangeText(inserted, start, Math.min(start + removed, area.value.length), 'end');
        area.dispatchEvent(new InputEvent('input'));
    }
    const overlay = document.getElementById('overlay');
    const last = [...overlay.children].findLast((child) => child.offsetHeight > 0);
    const alone = document.createElement('textarea'); // the same text in an unstretched textarea
    alone.className = 'overlay';
    alone.style.cssText = 'position: absolute; box-sizing: border-box; height: 0; overflow: hidden';
    alone.style.width = `${area.clientWidth}px`;
    alone.value = area.value;
    document.body.append(alone);
    const wanted = alone.scrollHeight;
    alone.remove();
    const padding = parseFloat(getComputedStyle(overlay).paddingBottom);
    return {
        seen: [...overlay.querySelectorAll('.chunk')].map((chunk) => chunk.textContent).join(''),
        typed: area.value,
        drawnHeight: Math.round(last.getBoundingClientRect().bottom - overlay.getBoundingClientRect().top + padding),
        wantedHeight: wanted,
    };
}"""


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=st.lists(st.tuples(st.integers(0, 80), st.integers(0, 30), CHARACTERS), min_size=1, max_size=8))
def test_overlay_matches_the_textarea(phone, edits):
    """After any edits the overlay has the text and the line breaks of the textarea."""
    after = phone.page.evaluate(APPLY, [list(edit) for edit in edits])
    assert after["seen"] == after["typed"]
    assert after["drawnHeight"] == after["wantedHeight"]
