"""Run the end-to-end benchmarks and write docs/benchmarks.md. Takes about 16 minutes on two cores.

    make bench [TEXTS=FILE] [ONLY="throughput latency"] [SCALE=0.2]
    PYTHONPATH=tests python -m benchmarks.end_to_end [--texts FILE] [--only SECTION ...] [--scale 0.2] [--out FOLDER]

FILE has a JSON object with `text` on each line (.jsonl), or a text on each line; the default is the demo's texts.
Results are written to FOLDER/benchmarks/results.json section by section; sections that are not measured are kept. The
page, the plots and, with the default FOLDER, the figures in the READMEs and in docs/explanation/comparison.md are
rendered from that file; --render only renders them. `make bench-peers` creates the peers' environments; peers without
one are listed as not run. The results of `make bench-queue` in FOLDER/benchmarks, queue.json and queue.svg, are
included.
"""

import argparse
import datetime as dt
import signal
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.end_to_end import beside_bulk, cold_start, compare, latency, memory, throughput
from benchmarks.end_to_end.checks import checks
from benchmarks.end_to_end.machine import describe
from benchmarks.end_to_end.output_files import DOCS, OutputFiles
from benchmarks.end_to_end.plan import Plan, cores, read_texts

SECTIONS = {
    "throughput": throughput.measure,
    "latency": latency.measure,
    "bulk": beside_bulk.measure,
    "cold": cold_start.measure,
    "memory": memory.measure,
    "compare": compare.measure,
}


def main() -> None:
    options = parse()
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # so that started processes are stopped
    files = OutputFiles(options.out)
    if options.render:
        files.render()
    else:
        measure(options, files)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=Path)
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS), metavar="SECTION")
    parser.add_argument(
        "--scale", type=float, default=1.0, help="share of the usual duration; figures of short runs vary"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=DOCS)
    parser.add_argument("--render", action="store_true", help="render the page without measuring")
    return parser.parse_args()


def measure(options, files) -> None:
    texts, source = read_texts(options.texts)
    for name in options.only:
        with tempfile.TemporaryDirectory(prefix="hanner-bench-") as scratch:
            plan = Plan(texts, source, Path(scratch), cores(), options.rounds, options.scale)
            machine = describe()
            started = time.perf_counter()
            print(f"{name} …", flush=True)
            data = SECTIONS[name](plan)
            seconds = time.perf_counter() - started
        at = dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC")
        section = {"at": at, "took_s": round(seconds), "scale": options.scale, "machine": machine}
        files.update_section(name, section | {"texts": plan.describe_texts(), "data": data})
        files.render()
        print(f"{name}: {seconds:.0f} s", flush=True)
    for check in checks(files.read()):
        print(f"{'passed' if check.passed else 'FAILED':<14}{check.name}: {check.measured} ({check.required})")


if __name__ == "__main__":
    main()
