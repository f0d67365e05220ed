"""Measure the memory of a worker with a model of BERT-base's size, as proportional set size (PSS). Linux only.

    PYTHONPATH=tests python tests/benchmarks/memory_base.py [--processes 4] [--package FOLDER]
        [--limit 400] [--limit-each 55]

Every process runs batches of 32 x 48 tokens and of 8 x 256, then the memory is read. Then the pool grows by one
process, all run batches again, and the difference is the memory per process. The peak is printed too. The weights are
random (tests/support/base_package.py). Exits with 1 if the memory is above --limit or --limit-each MB.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import psutil

from benchmarks.memory import MEGABYTE, PeakMemory, read_pss
from hanner import Client
from hanner.cli.local_stack import run_stack
from hanner.transport.celery_app import make_celery
from support.base_package import FOLDER, base_package

RANDOM = np.random.default_rng(0)
SHORT, LONG = (32, 46), (8, 254)
"""Texts per request and characters per text: 32 x 48 and 8 x 256 tokens."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--package", type=Path, default=FOLDER)
    parser.add_argument("--limit", type=float, default=400)
    parser.add_argument("--limit-each", type=float, default=55)
    options = parser.parse_args()
    model = str(base_package(options.package))
    with run_stack(concurrency=options.processes, model=model, timeout=300) as stack:
        idle = read_pss(stack.worker.pid)
        peak = PeakMemory(stack.worker.pid)
        with peak:
            run_batches(stack, options.processes)
        after = read_pss(stack.worker.pid)
        app = make_celery(stack.settings)
        app.control.pool_grow(1, reply=True, timeout=10)
        run_batches(stack, options.processes + 1)
        larger = read_pss(stack.worker.pid)
        app.close()
    print(f"{stack.model}, {options.processes} processes")
    for name, parts in (("idle", idle), ("peak", peak.highest), ("after", after), ("one more", larger)):
        listed = ", ".join(f"{part / MEGABYTE:.0f}" for part in parts[1:])
        print(f"{name:<9} {sum(parts) / MEGABYTE:>6.1f} MB PSS (parent {parts[0] / MEGABYTE:.0f}, processes {listed})")
    each = (sum(larger) - sum(after)) / MEGABYTE
    print(f"one more process needs {each:.1f} MB")
    sys.exit(sum(after) / MEGABYTE > options.limit or each > options.limit_each)


def run_batches(stack, processes) -> None:
    """Send requests until every process has run several batches; each request is one batch."""
    parent = psutil.Process(stack.worker.pid)
    before = {child.pid: child.cpu_times().user for child in parent.children()}
    with Client(settings=stack.settings) as ner:
        for count, length in (SHORT, SHORT, SHORT, LONG, LONG):
            jobs = [ner.submit_many(random_texts(count, length)) for _ in range(2 * processes)]
            assert all(document.error is None for job in jobs for document in job.result())
    idle = [child.pid for child in parent.children() if child.cpu_times().user - before.get(child.pid, 0) < 1]
    assert not idle, f"processes {idle} ran too few batches; send more requests"


def random_texts(count, length) -> list[str]:
    """Return different texts of random characters, because repeated texts are inferred once."""
    return ["".join(map(chr, RANDOM.integers(0x4E00, 0x9000, length))) for _ in range(count)]


if __name__ == "__main__":
    main()
