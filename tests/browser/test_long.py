"""A text of 100,000 characters, and the chunks of the overlay."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

LINE = "马云在杭州说，王小明昨天去了北京，今天天气不错，谁也没提工作的事。"
LIMIT = 100_000
ONE_PARAGRAPH = (LINE * (LIMIT // len(LINE) + 1))[:LIMIT]
MANY_PARAGRAPHS = ((LINE * 4 + "\n") * (LIMIT // (len(LINE) * 4 + 1) + 1))[:LIMIT]


@pytest.mark.parametrize("text", [ONE_PARAGRAPH, MANY_PARAGRAPHS], ids=["one paragraph", "many paragraphs"])
def test_100_000_characters(desk, text):
    desk.fill(text)
    desk.page.wait_for_function("() => /^1\\d,\\d\\d\\d /.test(document.getElementById('summary').textContent)")
    assert desk.overlay_text() == text
    assert desk.page.locator("#characters").inner_text() == "100,000 of 100,000 characters"
    drawn = desk.entities.count()
    assert 20 < drawn < 1000  # of more than 10,000: only those near the visible part
    assert desk.items.all_inner_texts()[0].split("\n")[-1].startswith("×3,0")

    desk.page.locator("#scroller").evaluate("scroller => { scroller.scrollTop = scroller.scrollHeight / 2; }")
    desk.page.wait_for_function(
        """() => {
            const view = document.getElementById('scroller').getBoundingClientRect();
            return [...document.querySelectorAll('#overlay .entity')].some((entity) => {
                const box = entity.getBoundingClientRect();
                return box.top > view.top && box.bottom < view.bottom;
            });
        }"""
    )
    assert desk.entities.count() < 1000


def test_edit_of_a_long_text_changes_few_nodes(desk):
    desk.fill(MANY_PARAGRAPHS)
    desk.page.wait_for_function("() => document.querySelectorAll('#overlay .entity').length > 20")
    touched = desk.page.evaluate(
        """async () => {
            const chunks = () => [...document.querySelectorAll('#overlay .chunk')];
            const before = new Set(chunks());
            const seen = new Set();
            const watcher = new MutationObserver((records) => {
                for (const { target } of records) seen.add(target.closest?.('.chunk') ?? target);
            });
            watcher.observe(document.getElementById('overlay'), { childList: true, subtree: true });
            const area = document.getElementById('text');
            area.setRangeText('今', 10, 10, 'end');
            area.dispatchEvent(new InputEvent('input'));
            await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
            watcher.disconnect();
            const fresh = chunks().filter((chunk) => !before.has(chunk)).length;
            return { all: before.size, fresh, touched: seen.size };
        }"""
    )
    assert touched["all"] > 90
    assert touched["fresh"] <= 2
    assert touched["touched"] <= 6


def test_too_long_text_is_not_sent(desk, worker):
    desk.page.locator("#characters", has_text="0 of 100,000 characters").wait_for()
    desk.fill("马" * (LIMIT + 1))
    assert "longer than 100,000 characters" in desk.wait_for_notice("too_long")
    assert desk.notice.get_by_role("button").count() == 0
    assert "wrong" in desk.page.locator("#characters").get_attribute("class")
    desk.fill("马云")
    desk.wait_for_highlights(1)
    assert not desk.notice.is_visible()
    assert [request["argument"] for request in worker.requests] == ["马云"]


def test_too_long_text_is_refused_by_a_server_with_an_unknown_limit(worker, site, new_desk):
    desk = new_desk(site, without_limits=True)
    desk.fill("马" * (LIMIT + 1))
    words = desk.wait_for_notice("invalid_text")
    assert "This text is invalid." in words
    assert "100,001 characters and the limit is 100,000" in words
    desk.fill("马云")
    desk.wait_for_highlights(1)
    assert not desk.notice.is_visible()


OVERLAY = """async ([edits, most]) => {
    const { Overlay } = await import('/source/js/overlay.js');
    const host = document.createElement('div');
    host.className = 'overlay';
    host.style.width = '240px';
    document.body.append(host);
    const overlay = new Overlay(host, document.getElementById('scroller'), most);
    let text = '';
    for (const [at, removed, inserted] of edits) {
        const start = Math.min(at, text.length);
        const gone = Math.min(removed, text.length - start);
        text = text.slice(0, start) + inserted + text.slice(start + gone);
        overlay.edit(start, gone, inserted);
        overlay.setMarks([]);
    }
    const alone = document.createElement('textarea');
    alone.className = 'overlay';
    alone.style.cssText = 'box-sizing: border-box; height: 0; overflow: hidden; width: 240px';
    alone.value = text;
    document.body.append(alone);
    const result = {
        joined: overlay.chunks.map((chunk) => chunk.text).join('') === text,
        seen: [...host.querySelectorAll('.chunk')].map((chunk) => chunk.textContent).join('') === text,
        longest: Math.max(...overlay.chunks.map((chunk) => chunk.text.length)),
        blocks: [...host.querySelectorAll('.block')].map((block) => block.textContent),
        height: host.offsetHeight,
        wanted: alone.scrollHeight,
    };
    alone.remove();
    host.remove();
    return result;
}"""
PARTS = st.text(st.sampled_from("马云ab ，\n😀"), max_size=40)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    edits=st.lists(st.tuples(st.integers(0, 120), st.integers(0, 40), PARTS), min_size=1, max_size=10),
    most=st.integers(4, 20),
)
def test_chunks_concatenate_to_the_text(module_desk, edits, most):
    """After any edits and with any chunk size, the chunks are the text and blocks end at line breaks."""
    after = module_desk.page.evaluate(OVERLAY, [[list(edit) for edit in edits], most])
    assert after["joined"]
    assert after["seen"]
    assert after["longest"] <= most
    assert all(block.endswith("\n") for block in after["blocks"][:-1])
    assert after["height"] == after["wanted"]
