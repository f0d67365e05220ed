"""What the queue costs: a model that does nothing behind plain Celery, celery-batches and hanner, in one run.

    make bench-queue, or
    PYTHONPATH=tests python -m benchmarks.queues [--texts 20000] [--rounds 3] [--only c d] [--json FILE] [--plot FILE]

Every measurement has a Redis and a worker of its own. The texts are sent where no worker sees them; then the worker
gets all of them at once. Contenders take turns, round after round, so that noise hits all alike; the table has
medians. Rates are by the clock and need an idle machine; µs are processor time per text, which other work on the
machine changes little. Latency is that of a request at half the contender's own rate, at steady intervals.
"""

import argparse
import json
import os
import sys
from pathlib import Path

from benchmarks.queues.contenders import CONTENDERS
from benchmarks.queues.measure import measure, median
from benchmarks.queues.report import plot, ratios, table


def main():
    options = parse()
    kinds = [(letter, events) for letter in options.only for events in options.events]
    measured = {kind: [] for kind in kinds}
    for number in range(options.rounds):
        for letter, events in kinds:
            contender = CONTENDERS[letter]
            row = measure(
                contender,
                events=events,
                texts=int(options.texts * contender.share),
                processes=options.processes,
                seconds=options.seconds,
            )
            measured[letter, events].append(row)
            print(f"round {number + 1}: {row.contender}: {row.consumed:,.0f} texts/s", file=sys.stderr)
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
        "--texts", type=int, default=20_000, help="for hanner, one text per task; others by their speed"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--processes", type=int, default=2, help="of each worker's pool")
    parser.add_argument("--seconds", type=float, default=4.0, help="for which latency is measured; 0: not at all")
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    parser.add_argument("--events", nargs="+", type=lambda word: word == "on", default=[True, False], metavar="on|off")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--plot", type=Path, metavar="FILE.svg|png", help="draw them; needs matplotlib")
    return parser.parse_args()


if __name__ == "__main__":
    main()
