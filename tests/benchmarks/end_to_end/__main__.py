"""Measure end to end and write docs/benchmarks.md: about 14 minutes on two cores, with the peers' environments there.

    make bench [TEXTS=FILE] [ONLY="throughput latency"] [SCALE=0.2]
    PYTHONPATH=tests python -m benchmarks.end_to_end [--texts FILE] [--only SECTION ...] [--scale 0.2] [--out FOLDER]

FILE has a JSON object with `text` on each line (.jsonl), or a text on each line; without it the demo's texts are sent.
What is measured goes into FOLDER/benchmarks/results.json section by section; sections that are not measured this time
stay as they were. Page, plots and, with the usual FOLDER, the READMEs' figures are made from that file; --render makes
them anew and measures nothing. `make bench-peers` makes the peers' environments; a peer without one is told to be
missing. What `make bench-queue` left in FOLDER/benchmarks, as queue.json and queue.svg, is shown too.
"""

import argparse
import datetime as dt
import signal
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.end_to_end import cold, compare, latency, throughput
from benchmarks.end_to_end.checks import checks
from benchmarks.end_to_end.files import DOCS, Files
from benchmarks.end_to_end.machine import describe
from benchmarks.end_to_end.plan import Plan, cores, read_texts

SECTIONS = {
    "throughput": throughput.measure,
    "latency": latency.measure,
    "cold": cold.measure,
    "compare": compare.measure,
}


def main() -> None:
    options = parse()
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # so that what was started is stopped
    files = Files(options.out)
    if options.render:
        files.render()
    else:
        measure(options, files)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=Path)
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS), metavar="SECTION")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the usual time; figures of short runs vary")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=DOCS)
    parser.add_argument("--render", action="store_true", help="measure nothing")
    return parser.parse_args()


def measure(options, files) -> None:
    texts, source = read_texts(options.texts)
    for name in options.only:
        with tempfile.TemporaryDirectory(prefix="hanner-bench-") as scratch:
            plan = Plan(texts, source, Path(scratch), cores(), options.rounds, options.scale)
            machine = describe()
            began = time.perf_counter()
            print(f"{name} …", flush=True)
            data = SECTIONS[name](plan)
            took = time.perf_counter() - began
        at = dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC")
        section = {"at": at, "took_s": round(took), "scale": options.scale, "machine": machine}
        files.keep(name, section | {"texts": plan.about_texts(), "data": data})
        files.render()
        print(f"{name}: {took:.0f} s", flush=True)
    for check in checks(files.read()):
        print(f"{'holds' if check.good else 'DOES NOT HOLD':<14}{check.what}: {check.measured} ({check.wanted})")


if __name__ == "__main__":
    main()
