"""Takes the pictures of the page and of Flower that the documents show: `make screenshots`.

Everything in them is real: Redis, the worker with the bundled model, the gateway, Flower, a headless Chromium.
"""

import base64
import tempfile
from pathlib import Path
from uuid import uuid4

from celery.states import READY_STATES

from hanner import Client
from hanner.cli.local_stack import running
from support.flowers import flower
from support.page import NerPage, chromium, gateway
from support.workers import foreign_app

HERE = Path(__file__).parent
DESKTOP = {"viewport": {"width": 1280, "height": 800}, "locale": "en-GB"}
PHONE = {
    "viewport": {"width": 390, "height": 844},
    "locale": "zh-CN",
    "is_mobile": True,
    "has_touch": True,
    "device_scale_factor": 2,
}
OPERATORS = {"viewport": {"width": 1780, "height": 760}, "locale": "en-GB"}
LONG = 4
"""The example that is shown."""
TEXTS = (
    "任正非一九八七年在深圳创办华为，如今这家公司的总部设在龙岗区坂田。",
    "中国科学院院士施一公出任西湖大学校长，学校坐落在杭州市西湖区。",
    "昨晚的北京工人体育场座无虚席😀，北京国安二比一战胜上海海港🎉，张玉宁梅开二度。",
    "今天天气不错，我们晚饭后沿着河边走了一圈，谁也没提工作的事。",
    "诺贝尔文学奖得主莫言生于山东高密，他的《红高粱家族》由张艺谋改编成电影，主演是巩俐和姜文。",
)


def main():
    """Take all pictures."""
    with (
        running(None, None, None) as stack,
        gateway(stack.settings.broker_url) as address,
        chromium() as browser,
    ):
        desktop(browser, address)
        phone(browser, address)
        operators(browser, stack.settings.broker_url)


def desktop(browser, address):
    """Take those in the size of a desktop."""
    desk = _open(browser, address, DESKTOP)
    desk.page.locator(".starter").nth(LONG).click()
    _settle(desk)
    box = desk.entities.nth(3).bounding_box()
    desk.page.mouse.move(box["x"] + 8, box["y"] + 8)
    desk.card.wait_for()
    _shoot(desk, "desktop")
    desk.page.mouse.move(0, 0)
    desk.page.locator("#file-input").set_input_files(
        {"name": "texts.txt", "mimeType": "text/plain", "buffer": "\n".join(TEXTS).encode()}
    )
    desk.page.locator("#results").wait_for()
    desk.page.locator("#file").scroll_into_view_if_needed()
    desk.page.evaluate("() => scrollTo(0, document.body.scrollHeight)")
    _shoot(desk, "file")
    desk.page.context.close()


def phone(browser, address):
    """Take the one in the size of a phone, in Chinese."""
    desk = _open(browser, address, PHONE)
    desk.page.locator(".starter").nth(LONG).tap()
    _settle(desk)
    desk.entities.nth(2).tap(force=True)
    desk.card.wait_for()
    _shoot(desk, "phone")
    desk.page.context.close()


def operators(browser, broker):
    """Take those of Flower: its list, and one request's page."""
    with tempfile.TemporaryDirectory() as folder, flower(broker, folder) as monitor:
        monitor.wait_for_workers()
        tasks = _fates(monitor, broker)
        secret = {"username": monitor.user, "password": monitor.password}
        page = browser.new_context(http_credentials=secret, **OPERATORS).new_page()
        page.goto(f"{monitor.url}/tasks")
        page.locator("#tasks-table tbody tr").nth(len(TEXTS)).wait_for()
        _keep(page, "flower")
        page.goto(f"{monitor.url}/task/{tasks[1]}")
        page.locator(".detail-row", has_text="Batch size").wait_for()
        _keep(page, "flower-task", full_page=True)
        page.context.close()


def _fates(monitor, broker):
    """Send requests of several fates; return their ids when Flower knows how they ended."""
    with Client(broker) as ner, foreign_app(broker) as app:
        revoked = str(uuid4())
        app.control.revoke(revoked, reply=True, limit=1, timeout=5)
        jobs = [ner.submit(text) for text in TEXTS] + [ner.submit_many(TEXTS)]
        odd = [app.send_task("hanner.extract", [7]), app.send_task("hanner.extract", [TEXTS[0]], task_id=revoked)]
        for job in jobs:
            job.wait()
        for result in odd:
            result.get(propagate=False)
        tasks = [one.id for one in (*jobs, *odd)]
        monitor.wait_for(lambda known: all(known.get(i, {}).get("state") in READY_STATES for i in tasks))
    return tasks


def _open(browser, address, options):
    return NerPage(browser.new_context(reduced_motion="reduce", **options).new_page()).open(address)


def _settle(desk):
    """Wait for the answer and for the strip to know the worker."""
    desk.page.wait_for_function("() => document.querySelectorAll('#overlay .entity').length > 5")
    desk.page.wait_for_selector(".strip-workers[data-state='up']")


def _shoot(desk, name):
    _keep(desk.page, name)


def _keep(page, name, **options):
    """Keep the picture as WebP, which Chromium itself writes, small."""
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
