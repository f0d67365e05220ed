"""Take the screenshots of the page and of Flower for the documentation: `make screenshots`.

Everything is real: Redis, the worker with the bundled model, the gateway, Flower, a headless Chromium.
"""

import base64
import tempfile
from pathlib import Path
from uuid import uuid4

from celery.states import READY_STATES

from hanner import Client
from hanner.cli.local_stack import run_stack
from hanner.jobs import wait_for_meta
from support.flowers import flower
from support.page import NerPage, chromium, gateway
from support.workers import foreign_app

HERE = Path(__file__).parent
DESKTOP = {"viewport": {"width": 1280, "height": 800}, "locale": "en-GB", "color_scheme": "dark"}
PHONE = {
    "viewport": {"width": 390, "height": 844},
    "locale": "zh-CN",
    "color_scheme": "light",
    "is_mobile": True,
    "has_touch": True,
    "device_scale_factor": 2,
}
FLOWER = {"viewport": {"width": 1780, "height": 760}, "locale": "en-GB"}
EXAMPLE = 4
"""Index of the example text on the page."""
TEXTS = (
    "任正非一九八七年在深圳创办华为，如今这家公司的总部设在龙岗区坂田。",
    "中国科学院院士施一公出任西湖大学校长，学校坐落在杭州市西湖区。",
    "昨晚的北京工人体育场座无虚席😀，北京国安二比一战胜上海海港🎉，张玉宁梅开二度。",
    "今天天气不错，我们晚饭后沿着河边走了一圈，谁也没提工作的事。",
    "诺贝尔文学奖得主莫言生于山东高密，他的《红高粱家族》由张艺谋改编成电影，主演是巩俐和姜文。",
)


def main():
    """Take all screenshots."""
    with (
        run_stack() as stack,
        gateway(stack.settings.broker_url) as address,
        chromium() as browser,
    ):
        desktop(browser, address)
        phone(browser, address)
        flower_pages(browser, stack.settings.broker_url)


def desktop(browser, address):
    """Take the screenshots in desktop size."""
    ner_page = _open(browser, address, DESKTOP)
    ner_page.page.locator(".starter").nth(EXAMPLE).click()
    _wait_for_entities(ner_page)
    box = ner_page.entities.nth(3).bounding_box()
    ner_page.page.mouse.move(box["x"] + 8, box["y"] + 8)
    ner_page.card.wait_for()
    _take(ner_page, "desktop")
    ner_page.page.mouse.move(0, 0)
    ner_page.page.locator("#file-input").set_input_files(
        {"name": "texts.txt", "mimeType": "text/plain", "buffer": "\n".join(TEXTS).encode()}
    )
    ner_page.page.locator("#results").wait_for()
    ner_page.page.locator("#file").scroll_into_view_if_needed()
    ner_page.page.evaluate("() => scrollTo(0, document.body.scrollHeight)")
    _take(ner_page, "file")
    ner_page.page.context.close()


def phone(browser, address):
    """Take the screenshot in phone size, in Chinese."""
    ner_page = _open(browser, address, PHONE)
    ner_page.page.locator(".starter").nth(EXAMPLE).tap()
    _wait_for_entities(ner_page)
    ner_page.entities.nth(2).tap(force=True)
    ner_page.card.wait_for()
    _take(ner_page, "phone")
    ner_page.page.context.close()


def flower_pages(browser, broker):
    """Take the screenshots of Flower: the list, and the page of one request."""
    with tempfile.TemporaryDirectory() as folder, flower(broker, folder) as monitor:
        monitor.wait_for_workers()
        tasks = _run_requests(monitor, broker)
        secret = {"username": monitor.user, "password": monitor.password}
        page = browser.new_context(http_credentials=secret, **FLOWER).new_page()
        page.goto(f"{monitor.url}/tasks")
        page.locator("#tasks-table tbody tr").nth(len(TEXTS)).wait_for()
        _save(page, "flower")
        page.goto(f"{monitor.url}/task/{tasks[1]}")
        page.locator(".detail-row", has_text="Batch size").wait_for()
        _save(page, "flower-task", full_page=True)
        page.context.close()


def _run_requests(monitor, broker):
    """Send requests with different outcomes, wait until Flower knows them, and return their ids."""
    with Client(broker) as ner, foreign_app(broker) as app:
        revoked = str(uuid4())
        app.control.revoke(revoked, reply=True, limit=1, timeout=5)
        jobs = [ner.submit(text) for text in TEXTS] + [ner.submit_many(TEXTS)]
        others = [app.send_task("hanner.extract", [7]), app.send_task("hanner.extract", [TEXTS[0]], task_id=revoked)]
        for job in jobs:
            wait_for_meta(job)
        for result in others:
            result.get(propagate=False)
        tasks = [one.id for one in (*jobs, *others)]
        monitor.wait_for(lambda known: all(known.get(i, {}).get("state") in READY_STATES for i in tasks))
    return tasks


def _open(browser, address, options):
    return NerPage(browser.new_context(reduced_motion="reduce", **options).new_page()).open(address)


def _wait_for_entities(ner_page):
    """Wait for the entities, and for the page to know of the worker."""
    ner_page.page.wait_for_function("() => document.querySelectorAll('#overlay .entity').length > 5")
    ner_page.page.wait_for_selector(".status-workers[data-state='up']")


def _take(ner_page, name):
    _save(ner_page.page, name)


def _save(page, name, **options):
    """Save a screenshot as WebP, converted by Chromium."""
    with tempfile.TemporaryDirectory() as folder:
        png = Path(folder) / "page.png"
        page.screenshot(path=png, **options)
        converted = page.context.browser.new_page()
        converted.goto("about:blank")
        data = converted.evaluate(
            """async (url) => {
                const image = new Image();
                image.src = url;
                await image.decode();
                const canvas = document.createElement('canvas');
                [canvas.width, canvas.height] = [image.width, image.height];
                canvas.getContext('2d').drawImage(image, 0, 0);
                return canvas.toDataURL('image/webp', 0.86);
            }""",
            _data_url(png),
        )
        converted.close()
    (HERE / f"{name}.webp").write_bytes(_bytes(data))


def _data_url(path):
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()


def _bytes(url):
    return base64.b64decode(url.partition(",")[2])


if __name__ == "__main__":
    main()
