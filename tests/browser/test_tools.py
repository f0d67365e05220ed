"""Theme, link to a text, reload, minimum score, order of the list, adjacent entities."""

import re

import pytest

from support.page import MODEL
from support.stub_worker import success

TEXT = "😀马云在杭州，\n马云又去了北京。"


def scored(request):
    """Return an answer with different scores; a `behaviour` of StubWorker."""
    text = request["argument"]
    names = (("马云", "PER", 0.6), ("北京", "LOC", 0.95), ("杭州", "LOC", 0.8), ("上海", "LOC", 0.7))
    entities = [
        {"text": name, "type": kind, "start": found.start(), "end": found.end(), "score": score}
        for name, kind, score in names
        for found in re.finditer(name, text)
    ]
    return success({"entities": sorted(entities, key=lambda entity: entity["start"]), "model": MODEL})


def listed(desk):
    # The inner text is empty until the row is rendered for the first time, because of `content-visibility`.
    return desk.page.locator("#entity-list .item-text").all_text_contents()


def background(desk):
    return desk.page.evaluate("() => getComputedStyle(document.documentElement).backgroundColor")


def test_theme_follows_the_system_until_it_is_switched(worker, site, new_desk):
    desk = new_desk(site, color_scheme="light")
    light = background(desk)
    desk.page.emulate_media(color_scheme="dark")
    dark = background(desk)
    assert light != dark
    desk.page.get_by_role("button", name="Light theme").click()
    assert background(desk) == light
    desk.page.reload()
    desk.page.wait_for_selector("html[data-ready]")
    assert background(desk) == light
    desk.page.get_by_role("button", name="Dark theme").click()  # the system's: it follows the system again
    assert desk.page.evaluate("() => localStorage.getItem('hanner.theme')") is None


def test_link_to_a_text(desk, site, new_desk):
    desk.page.evaluate("""() => Object.defineProperty(navigator, 'clipboard',
        { value: { writeText: async (text) => { window.copied = text; } } })""")
    desk.fill(TEXT)
    desk.page.locator("#share").click()
    desk.page.get_by_role("button", name="Link copied").wait_for()
    link = desk.page.evaluate("() => copied")
    assert link.startswith(f"{site}#t=")
    other = new_desk(site)
    requests = []
    other.page.on("request", lambda request: requests.append(request.url))
    other.open(link)
    assert other.text.input_value() == TEXT
    other.wait_for_highlights(4)
    assert "#" not in other.page.url  # an edit would make it untrue
    assert not any("t=" in url.partition("#")[0] for url in requests)


def test_long_text_has_no_link(desk):
    desk.fill("".join(chr(0x4E00 + index * 7919 % 20000) for index in range(20_000)))
    desk.page.locator("#share").click()
    desk.page.get_by_role("button", name="Too long for a link").wait_for()


@pytest.mark.parametrize("fragment", ["t=!", "t=AAAA", "t=" + "A" * 50])
def test_damaged_link_is_reported(worker, site, new_desk, fragment):
    desk = new_desk(f"{site}#{fragment}")
    assert "damaged" in desk.wait_for_notice("bad_link")
    assert desk.text.input_value() == ""


def test_text_is_kept_over_a_reload(desk):
    desk.fill(TEXT)
    desk.page.reload()
    desk.page.wait_for_selector("html[data-ready]")
    assert desk.text.input_value() == TEXT
    desk.wait_for_highlights(4)
    desk.page.locator("#clear").click()
    desk.page.reload()
    desk.page.wait_for_selector("html[data-ready]")
    assert desk.text.input_value() == ""


def test_minimum_score_and_order_of_the_list(desk, worker):
    worker.behaviour = scored
    desk.fill("马云在杭州，马云又去了北京。")
    desk.wait_for_highlights(4)
    desk.page.wait_for_function("() => document.querySelectorAll('#entity-list .item').length === 3")
    for order, names in (
        ("score", ["北京", "杭州", "马云"]),
        ("count", ["马云", "杭州", "北京"]),
        ("text", ["北京", "杭州", "马云"]),
        ("type", ["杭州", "北京", "马云"]),
        ("position", ["马云", "杭州", "北京"]),
    ):
        desk.page.select_option("#sort", order)
        assert listed(desk) == names
    desk.page.locator("#min-score").fill("80")
    desk.wait_for_highlights(2)
    desk.page.locator("#summary", has_text="2 names found").wait_for()
    assert listed(desk) == ["杭州", "北京"]
    assert desk.page.locator("#min-score-value").inner_text() == "80 %"
    desk.page.locator("#min-score").fill("100")
    desk.page.locator("#summary", has_text="No name is shown.").wait_for()


def test_adjacent_entities_of_one_type_look_separate(desk, worker):
    worker.behaviour = scored
    desk.fill("北京上海杭州，马云杭州")
    desk.wait_for_highlights(5)
    classes = desk.entities.evaluate_all("all => all.map((each) => each.classList.contains('adjacent'))")
    assert classes == [False, True, True, False, False]


def test_names_of_hidden_types_are_not_struck_through(desk):
    desk.toggle("PER").click()
    style = desk.toggle("PER").evaluate("toggle => getComputedStyle(toggle).textDecorationLine")
    assert style == "none"


def test_status_panel_does_not_cover_the_page(phone):
    phone.fill("\n".join(["马云"] * 10))
    phone.wait_for_highlights(10)
    for opened in (False, True):
        boxes = phone.page.evaluate("""() => ['footer', '#file'].map((name) => {
            const { top, bottom } = document.querySelector(name).getBoundingClientRect();
            return [top, bottom];
        })""")
        assert boxes[0][0] >= boxes[1][1], opened
        phone.page.locator(".status-workers").click()


def test_page_without_scripts(worker, site, browser):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(site)
    page.locator(".no-script").filter(has_text="This page needs JavaScript").wait_for()
    assert not page.locator("#text").is_visible()
    context.close()
