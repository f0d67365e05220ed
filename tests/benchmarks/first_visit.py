"""Measure the first visit of the page on a slow network: from the navigation until the page can be used.

    PYTHONPATH=tests python tests/benchmarks/first_visit.py [--latency 400] [--rounds 10]

Uses the gateway and a headless Chromium, whose developer tools delay each response by the latency. Each round has an
empty cache. Prints the median and the 95th percentile in milliseconds, and those of a second visit with the cache.
"""

import argparse
import statistics

from hanner.cli.local_stack import run_stack
from support.page import chromium, gateway

READY = """() => new Promise((resolve) => {
    const look = () => (document.documentElement.dataset.ready ? resolve(performance.now()) : setTimeout(look, 1));
    look();
})"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latency", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    first, second = [], []
    with run_stack() as stack, gateway(stack.settings.broker_url) as address, chromium() as browser:
        for _ in range(options.rounds + 1):
            context = browser.new_context()
            page = context.new_page()
            tools = context.new_cdp_session(page)
            tools.send("Network.enable")
            tools.send(
                "Network.emulateNetworkConditions",
                {"offline": False, "latency": options.latency, "downloadThroughput": -1, "uploadThroughput": -1},
            )
            for times in (first, second):
                page.goto(address, wait_until="commit")
                times.append(page.evaluate(READY))
            context.close()
    print(f"{options.rounds} rounds, latency {options.latency} ms          median       p95")
    for name, times in (("first visit", first[1:]), ("second visit", second[1:])):
        print(f"{name:<34} {statistics.median(times):>6.0f} ms {statistics.quantiles(times, n=20)[-1]:>6.0f} ms")


if __name__ == "__main__":
    main()
