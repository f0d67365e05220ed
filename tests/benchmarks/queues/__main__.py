"""Measure the cost of the queue: a model that does nothing behind plain Celery, celery-batches and hanner.

    make bench-queue, or
    PYTHONPATH=tests python -m benchmarks.queues [--texts 20000] [--rounds 3] [--only c d] [--json FILE] [--plot FILE]

Every measurement has its own Redis and worker. The texts are sent to a queue that no worker consumes; then the worker
gets all of them at once. Scenarios alternate, so that noise affects all equally; the table has medians. Rates use
wall-clock time and need an idle machine; µs are CPU time per text, which other load hardly affects. Latency is that of
a request at half the scenario's own rate, at constant intervals.
"""

import argparse
import json
import os
import sys
from pathlib import Path

from benchmarks.queues.measure import measure, median
from benchmarks.queues.report import plot, ratios, table
from benchmarks.queues.scenarios import SCENARIOS

EVENTS = {"on": (True, True), "unread": (True, False), "off": (False, True)}
"""For each value of --events: whether the worker sends events, and whether a client receives those that it sends."""


def main():
    options = parse()
    cases = [(letter, *EVENTS[name]) for letter in options.only for name in options.events]
    measured = {case: [] for case in cases}
    for number in range(options.rounds):
        for letter, events, listener in cases:
            scenario = SCENARIOS[letter]
            row = measure(
                scenario,
                events=events,
                listener=listener,
                texts=int(options.texts * scenario.share),
                processes=options.processes,
                seconds=options.seconds,
            )
            measured[letter, events, listener].append(row)
            print(f"round {number + 1}: {row.scenario}: {row.consumed:,.0f} texts/s", file=sys.stderr)
    rows = [median(each) for each in measured.values()]
    print(table(rows))
    for line in ratios(rows):
        print(line)
    for path in filter(None, (options.json, options.plot)):
        path.parent.mkdir(parents=True, exist_ok=True)
    if options.json:
        content = {"rows": [row.as_json() for row in rows], "ratios": ratios(rows), "cores": os.cpu_count()}
        options.json.write_text(json.dumps(content, indent=2) + "\n", "utf-8")
    if options.plot:
        plot(rows, options.plot)


def parse():
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.queues", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--texts", type=int, default=20_000, help="for hanner with one text per task; the others get a share of it"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--processes", type=int, default=2, help="pool processes of each worker")
    parser.add_argument("--seconds", type=float, default=4.0, help="duration of the latency measurement; 0 for none")
    parser.add_argument("--only", nargs="+", choices=SCENARIOS, default=list(SCENARIOS))
    parser.add_argument(
        "--events",
        nargs="+",
        choices=EVENTS,
        default=["on", "off"],
        help="on: the worker sends events, and a client receives them; unread: no client does; off: it sends none",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all results to this file")
    parser.add_argument(
        "--plot", type=Path, metavar="FILE.svg|png", help="plot the results to this file; needs matplotlib"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
