"""Filter, list, details, copy, languages, keyboard, phone, accessibility."""

import json

import pytest
from axe_playwright_python.sync_playwright import Axe

SENTENCE = "马云在杭州阿里巴巴总部发表演讲"
TWICE = "😀马云在杭州，马云又去了北京。"


def test_filter_by_type(desk):
    desk.fill(TWICE)
    desk.wait_for_highlights(4)
    counts = {kind: desk.toggle(kind).locator(".count").inner_text() for kind in ("PER", "LOC", "ORG")}
    assert counts == {"PER": "2", "LOC": "2", "ORG": "0"}
    desk.toggle("PER").click()
    assert desk.toggle("PER").get_attribute("aria-pressed") == "false"
    assert desk.highlighted() == [("杭州", 1), ("北京", 1)]
    desk.page.wait_for_function("() => document.querySelectorAll('#entity-list .item').length === 2")
    assert desk.toggle("PER").locator(".count").inner_text() == "2"
    desk.toggle("LOC").click()
    desk.page.locator("#summary", has_text="All types are hidden").wait_for()
    desk.toggle("PER").click()
    desk.wait_for_highlights(2)


def test_hover_shows_the_card(desk):
    desk.fill(TWICE)
    desk.wait_for_highlights(4)
    box = desk.entities.nth(2).bounding_box()
    desk.page.mouse.move(box["x"] + 8, box["y"] + 8)
    desk.card.wait_for()
    assert [line for line in desk.card.inner_text().split("\n") if line] == [
        "● Person · PER",
        "马云",
        "90 %",
        "Offsets 7–9",
        "2 of 2",
    ]
    desk.card.hover()  # the card stays while the pointer is on it
    assert desk.card.is_visible()
    desk.page.keyboard.press("Escape")
    assert not desk.card.is_visible()


def test_list_item_shows_each_occurrence(desk):
    desk.fill("马云。" + "今天。\n" * 600 + "马云。")
    desk.wait_for_highlights(1)
    item = desk.items.first
    assert item.get_attribute("aria-label") == "马云, Person, 2 times, score 90 %"
    item.click()
    item.click()
    desk.page.wait_for_function("() => document.querySelector('#overlay .active') !== null")
    assert desk.page.locator("#scroller").evaluate("scroller => scroller.scrollTop") > 1000
    assert "2 of 2" in desk.card.inner_text()


def test_copy_as_json(desk):
    desk.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    desk.fill(TWICE)
    desk.wait_for_highlights(4)
    desk.toggle("LOC").click()
    desk.page.locator("#copy").click()
    desk.page.get_by_role("button", name="Copied").wait_for()
    copied = json.loads(desk.page.evaluate("() => navigator.clipboard.readText()"))
    assert copied["text"] == TWICE
    assert [entity["text"] for entity in copied["entities"]] == ["马云", "马云"]
    assert all(TWICE[entity["start"] : entity["end"]] == entity["text"] for entity in copied["entities"])


def test_copy_without_a_secure_context(desk):
    desk.page.evaluate("() => Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    desk.fill("马云")
    desk.wait_for_highlights(1)
    desk.page.locator("#copy").click()
    desk.page.get_by_role("button", name="Copied").wait_for()
    desk.fill("")
    desk.text.press("Control+v")
    assert json.loads(desk.text.input_value())["text"] == "马云"


def test_clear_can_be_undone(desk):
    desk.fill("马云")
    desk.wait_for_highlights(1)
    desk.page.locator("#clear").click()
    assert desk.text.input_value() == ""
    desk.page.select_option("#examples", index=1)
    desk.wait_for_highlights(3)
    desk.text.press("Control+z")
    desk.text.press("Control+z")
    desk.wait_for_highlights(1)
    assert desk.text.input_value() == "马云"


def test_card_follows_the_focus_in_the_list(desk):
    names = ("王小明", "马云", "杭州", "北京", "阿里巴巴", "Tim Cook", "红楼梦", "五百元", "𠮷林")
    desk.page.set_viewport_size({"width": 1280, "height": 620})
    desk.fill("。".join(names))
    desk.wait_for_highlights(len(names))
    desk.page.locator("#min-score").focus()
    for name in names:
        desk.page.keyboard.press("Tab")
        desk.card.filter(has_text=name).wait_for()


def test_examples(desk):
    desk.page.locator(".starter").first.click()
    desk.wait_for_highlights(3)
    assert desk.text.input_value() == SENTENCE
    assert desk.page.locator("#starters").is_hidden()
    desk.page.select_option("#examples", label="Football, with emoji")
    assert "张玉宁" in desk.text.input_value()


def test_language_by_browser_switched_and_remembered(worker, site, new_desk):
    desk = new_desk(site, locale="zh-SG")
    assert desk.page.locator("html").get_attribute("lang") == "zh-CN"
    desk.fill("马云")
    desk.wait_for_highlights(1)
    desk.page.locator("#summary", has_text="找到 1 个实体").wait_for()
    assert desk.entities.first.get_attribute("data-label") == "● 人名"
    desk.page.get_by_role("button", name="English").click()
    desk.page.locator("#summary", has_text="1 name found").wait_for()
    assert desk.entities.first.get_attribute("data-label") == "● PER"
    assert desk.page.title() == "hanner: names in Chinese text"
    desk.page.reload()
    desk.page.wait_for_selector("html[data-ready]")
    assert desk.page.locator("html").get_attribute("lang") == "en"


@pytest.mark.parametrize("locale", ["zh-TW", "zh-HK", "zh-Hant"])
def test_traditional_chinese(worker, site, new_desk, locale):
    desk = new_desk(site, locale=locale)
    assert desk.page.locator("html").get_attribute("lang") == "zh-TW"
    desk.fill("阿里巴巴")
    desk.page.locator("#summary", has_text="找到 1 個實體").wait_for()
    assert desk.entities.first.get_attribute("data-label") == "■ 機構"


def test_all_languages_have_the_same_messages(module_desk):
    messages = module_desk.page.evaluate("async () => (await import('/source/js/messages.js')).MESSAGES")
    english = {key for key in messages["en"] if not key.endswith(".one")}
    for language in ("zh", "zh-Hant"):
        assert english == set(messages[language])
        for key in english:
            both = [{part.split("}")[0] for part in messages[each][key].split("{")[1:]} for each in ("en", language)]
            assert both[0] == both[1], key


def test_first_visit_needs_one_request(worker, site, browser):
    """The next visit asks only whether the page has changed."""
    context = browser.new_context()
    page = context.new_page()
    sizes = []
    for _ in range(2):
        page.goto(site)
        page.wait_for_selector("html[data-ready]")
        loaded = page.evaluate("() => performance.getEntriesByType('resource').map(({ name }) => name)")
        assert [name for name in loaded if not name.startswith("data:") and "/api/" not in name] == []
        sizes.append(page.evaluate("() => performance.getEntriesByType('navigation')[0].transferSize"))
    first, second = sizes
    assert first < 40_000
    assert second < 1000
    context.close()


def test_keyboard_only(desk):
    press = desk.page.keyboard.press
    press("Tab")
    assert desk.page.evaluate("() => document.activeElement.className") == "skip"
    press("Enter")
    desk.page.keyboard.insert_text(SENTENCE)
    desk.wait_for_highlights(3)
    assert not desk.card.is_visible()  # not while typing
    press("Home")
    desk.card.wait_for()
    assert "马云" in desk.card.inner_text()
    press("Escape")
    assert not desk.card.is_visible()
    desk.toggle("PER").focus()
    press("Space")
    desk.wait_for_highlights(2)
    desk.page.locator("#min-score").focus()
    press("Tab")
    assert desk.page.evaluate("() => document.activeElement.className").startswith("item")
    desk.card.wait_for()
    assert "杭州" in desk.card.inner_text()
    press("Tab")
    desk.page.get_by_text("Offsets 5–9").wait_for()


def test_every_control_has_a_visible_focus(desk):
    desk.fill("马云")
    desk.wait_for_highlights(1)
    desk.page.keyboard.press("Tab")
    seen = []
    for _ in range(30):
        shown = desk.page.evaluate("""() => {
            const { activeElement } = document;
            const style = getComputedStyle(activeElement);
            const around = getComputedStyle(activeElement.closest('.scroller') ?? activeElement);
            const shown = style.outlineStyle !== 'none' || around.boxShadow !== 'none';
            return [activeElement.id || activeElement.className, shown];
        }""")
        if shown[0]:  # empty between the last control and the first
            assert shown[1], shown[0]
            seen.append(shown[0])
        desk.page.keyboard.press("Tab")
    assert {"skip", "text", "copy", "examples", "clear", "file-choose"} <= set(seen)


def test_phone(phone):
    phone.page.locator(".starter").nth(4).tap()
    phone.page.wait_for_function("() => document.querySelectorAll('#overlay .entity').length > 0")
    width = phone.page.evaluate("() => [document.documentElement.scrollWidth, innerWidth]")
    assert width[0] <= width[1]  # no horizontal overflow
    heights = phone.page.locator("button:visible, select:visible, a.quiet:visible").evaluate_all(
        "all => all.map((each) => each.getBoundingClientRect().height)"
    )
    assert min(heights) >= 24
    phone.entities.first.tap(force=True)  # the textarea in front receives the tap
    phone.card.wait_for()
    box = phone.card.bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390


def show_card(desk, worker):
    desk.items.first.click()
    desk.card.wait_for()


def insert_full_stop(desk):
    desk.text.press("End")
    desk.page.keyboard.insert_text("。")


def show_countdown(desk, worker):
    desk.page.route("**/api/v1/ner", lambda route: route.fulfill(status=429, headers={"Retry-After": "60"}, body=""))
    insert_full_stop(desk)
    desk.wait_for_notice("rate_limited")


def show_refusal(desk, worker):
    desk.page.route("**/api/v1/ner", lambda route: route.fulfill(status=422, json={"code": "invalid_text"}))
    insert_full_stop(desk)
    desk.wait_for_notice("invalid_text")


def show_waiting(desk, worker):
    worker.hold()
    insert_full_stop(desk)
    desk.page.locator("#working").wait_for()


def show_results(desk, worker):
    file = {"name": "a.txt", "mimeType": "text/plain", "buffer": f"{SENTENCE}\n马云".encode()}
    desk.page.locator("#file-input").set_input_files(file)
    desk.page.locator("#results").wait_for()


def show_refused_file(desk, worker):
    file = {"name": "a.csv", "mimeType": "text/csv", "buffer": "标题,摘要\n马云,杭州\n".encode()}
    desk.page.locator("#file-input").set_input_files(file)
    desk.page.locator("#file-message.wrong").wait_for()
    desk.page.locator("#file-column").wait_for()


STATES = {
    "text": lambda desk, worker: None,
    "waiting": show_waiting,
    "card": show_card,
    "trouble": show_countdown,
    "refused": show_refusal,
    "filtered": lambda desk, worker: desk.toggle("PER").click(),
    "results": show_results,
    "refused file": show_refused_file,
    "key": lambda desk, worker: desk.page.evaluate("() => document.getElementById('key-dialog').showModal()"),
    "status": lambda desk, worker: desk.page.locator(".status-workers").click(),
}


@pytest.mark.parametrize("state", ["empty", *STATES])
@pytest.mark.parametrize("viewport", ["desk", "phone"])
def test_axe_finds_no_violation(request, worker, viewport, state):
    """In both themes, and in all states: each has its own colours."""
    desk = request.getfixturevalue(viewport)
    if state != "empty":
        desk.fill("王小明" + SENTENCE + "花五百元买《红楼梦》")
        desk.wait_for_highlights(6)
        STATES[state](desk, worker)
    for theme in ("light", "dark"):
        desk.page.emulate_media(reduced_motion="reduce", color_scheme=theme)
        found = Axe().run(desk.page, options={"resultTypes": ["violations"]}).response["violations"]
        faults = [(fault["impact"], fault["id"], [node["target"] for node in fault["nodes"]][:4]) for fault in found]
        assert faults == [], theme
    worker.release()


def test_no_request_to_other_hosts(worker, site, browser):
    context = browser.new_context()
    page = context.new_page()
    urls = []
    page.on("request", lambda request: urls.append(request.url))
    page.goto(site)
    page.wait_for_selector("html[data-ready]")
    page.locator("#text").fill("马云")
    page.wait_for_selector("#overlay .entity")
    assert urls
    assert all(url.startswith(site) for url in urls)
    policy = page.evaluate("async () => (await fetch('/')).headers.get('content-security-policy')")
    assert "unsafe" not in policy
    cached = page.evaluate("async () => (await fetch('/')).headers.get('cache-control')")
    assert cached == "no-cache"  # browsers ask whether it has changed
    context.close()
