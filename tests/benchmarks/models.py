"""Measure speed and memory of each bundled model beside base size, in one run. Linux only.

    PYTHONPATH=tests python tests/benchmarks/models.py [TEXTS.jsonl] [--texts 256] [--rounds 5] [--core 0]
        [--processes 2] [--models NAME …]

Speed is that of one process on one core, from texts to entities, in CPU time. TEXTS.jsonl has an object with `text` on
each line; the default is the mixture of `hanner demo`. The models take turns, and the last column of the table has the
median of each round's ratio to base size, which has random weights. Memory is the largest proportional set size of a
worker with --processes pool processes while 1,000 texts go through its queue. Prints the table of docs/models.md.
"""

import argparse
import os
import statistics
import time
from pathlib import Path

from memory import MEGABYTE, PeakMemory

from hanner import Client
from hanner.cli import demo_texts
from hanner.cli.local_stack import run_stack
from hanner_inference import load
from hanner_inference.package import bundled_models
from hanner_models.data.datasets import sample_texts
from support.base_package import base_package

BASE = "BERT-base size"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, nargs="?")
    parser.add_argument("--texts", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--core", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--models", nargs="+", default=list(bundled_models()))
    options = parser.parse_args()
    texts = sample_texts(options.file, options.texts) if options.file else demo_texts.mixture(options.texts)
    packages = {name: name for name in options.models} | {BASE: base_package()}
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {options.core})
    rates = measure_rates(packages, texts, options.rounds)
    os.sched_setaffinity(0, allowed)
    print(
        f"{len(texts)} texts of {sum(map(len, texts)) / len(texts):.0f} characters, {options.rounds} rounds; "
        f"a worker has {options.processes} processes\n"
    )
    print("| | characters/s, one core | texts/s, one core | memory of a worker | times base size |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, package in packages.items():
        peak = measure_memory(package, options.processes)
        speed = statistics.median(rates[name])
        times = statistics.median(one / base for one, base in zip(rates[name], rates[BASE], strict=True))
        shown = name if name == BASE else f"`{name}`"
        print(
            f"| {shown} | {speed * sum(map(len, texts)):,.0f} | {speed * len(texts):,.0f} | {peak / MEGABYTE:.0f} MB | "
            f"{times:.1f} |",
            flush=True,
        )


def measure_rates(packages, texts, rounds):
    """Return how often per second of CPU time all texts can be processed, for each round of each model."""
    recognisers = {name: load(package) for name, package in packages.items()}
    rates = {name: [] for name in packages}
    for number in range(rounds + 1):
        for name, recogniser in recognisers.items():
            started = time.process_time()
            recogniser.extract(texts)
            if number:  # the first round is a warm-up
                rates[name].append(1 / (time.process_time() - started))
    return rates


def measure_memory(package, processes):
    """Return the peak memory of a worker under load, in bytes."""
    with run_stack(model=str(package), concurrency=processes) as stack:
        peak = PeakMemory(stack.worker.pid)
        with peak, Client(settings=stack.settings) as ner:
            for document in ner.stream(demo_texts.mixture(1000), timeout=600):
                assert document.error is None
    return sum(peak.highest)


if __name__ == "__main__":
    main()
