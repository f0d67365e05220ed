"""Measure the latency of the web page: from the last key press to the frame that shows the entity.

    PYTHONPATH=tests python tests/benchmarks/browser_latency.py [--rounds 20]

Uses Redis, a worker with the bundled model, the gateway and a headless Chromium (`make test-browser` installs it). Each
round types a sentence that ends with a name, which is highlighted after the last key. Prints medians and 95th
percentiles in milliseconds, and the share of the last request.

Then it measures typing into a text of 100,000 characters: from a key press to the frame that shows it.
"""

import argparse
import statistics

from hanner.cli.local_stack import run_stack
from support.page import NerPage, chromium, gateway

BEFORE = "昨天的发布会上，记者见到了"
NAME = "马云"
AFTER_KEY = """(name) => ({ shown: new Promise((resolve) => {
    let began;
    const key = (event) => { began = event.timeStamp; };
    document.getElementById('text').addEventListener('beforeinput', key, { once: true });
    const watcher = new MutationObserver(() => {
        const entities = [...document.querySelectorAll('#overlay .entity')];
        if (!entities.some((entity) => entity.textContent === name)) return;
        watcher.disconnect();
        requestAnimationFrame(() => {
            const channel = new MessageChannel(); // its message arrives after the frame is rendered
            channel.port1.onmessage = () => resolve(performance.now() - began);
            channel.port2.postMessage(0);
        });
    });
    watcher.observe(document.getElementById('overlay'), { childList: true, subtree: true });
}) })"""
FRAMES = """async (count) => {
    const area = document.getElementById('text');
    area.focus();
    area.setSelectionRange(50_000, 50_000);
    const frame = () => new Promise((resolve) => requestAnimationFrame(() => {
        const channel = new MessageChannel();
        channel.port1.onmessage = resolve;
        channel.port2.postMessage(0);
    }));
    await frame();
    const times = [];
    for (let round = 0; round < count; round++) {
        const began = performance.now();
        document.execCommand('insertText', false, '中');
        await frame();
        times.push(performance.now() - began);
    }
    return times;
}"""
LINE = "马云在杭州说，王小明昨天去了北京，今天天气不错，谁也没提工作的事。"
LONG = 100_000
LONG_TEXTS = {
    "many paragraphs": ((LINE * 4 + "\n") * (LONG // len(LINE) + 1))[:LONG],
    "one paragraph": (LINE * (LONG // len(LINE) + 1))[:LONG],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    with (
        run_stack() as stack,
        gateway(stack.settings.broker_url) as address,
        chromium() as browser,
    ):
        desk = NerPage(browser.new_page(viewport={"width": 1280, "height": 800}, locale="en-GB")).open(address)
        desk.page.evaluate("() => performance.setResourceTimingBufferSize(10_000)")
        times = [highlight(desk) for _ in range(rounds + 3)][3:]  # the first ones are a warm-up
        requests = [float(entry) for entry in desk.page.evaluate(REQUESTS)][-rounds:]
        print(f"{stack.model}, {rounds} rounds                   median       p95")
        print_times("last key to highlight", times)
        print_times("of which the last request", requests)
        for name, text in LONG_TEXTS.items():
            desk.fill(text)
            desk.page.wait_for_function("() => !document.getElementById('summary').textContent.startsWith('0')")
            print_times(f"key to frame, {LONG:,} characters, {name}", desk.page.evaluate(FRAMES, rounds))


REQUESTS = """() => performance.getEntriesByType('resource')
    .filter((entry) => entry.name.endsWith('/api/v1/ner'))
    .map((entry) => entry.duration)"""


def highlight(desk: NerPage) -> float:
    """Type a sentence that ends with a name; return the milliseconds from the last key to the highlight."""
    desk.fill("")
    desk.text.press_sequentially(BEFORE + NAME[:-1], delay=30)
    desk.page.wait_for_function("() => document.getElementById('scroller').ariaBusy === 'false'")
    waiting = desk.page.evaluate_handle(AFTER_KEY, NAME)
    desk.text.press_sequentially(NAME[-1])
    return waiting.evaluate("waiting => waiting.shown")


def print_times(name: str, times: list[float]) -> None:
    print(f"{name:<54} {statistics.median(times):>6.1f} ms {statistics.quantiles(times, n=20)[-1]:>6.1f} ms")


if __name__ == "__main__":
    main()
