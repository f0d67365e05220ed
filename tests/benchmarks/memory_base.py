"""Memory of a worker at BERT-base's size, parent and pool processes: proportional set size (PSS), Linux only.

    PYTHONPATH=tests python tests/benchmarks/memory_base.py [--processes 4] [--package FOLDER]
        [--limit 400] [--limit-each 55]

Every process serves batches of 32 x 48 tokens and of 8 x 256; then the memory is read. Then the pool grows by one
process, all work again, and the difference is what one process more costs. The highest sum while they work is shown as
well. Random weights at BERT-base's size (tests/support/base_package.py). Exits 1 above --limit or --limit-each MB.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import psutil
from memory import MEGABYTE, Peak, proportional

from hanner import Client
from hanner.cli.local_stack import run_stack
from hanner.transport.celery_app import make_celery
from support.base_package import FOLDER, base_package

RANDOM = np.random.default_rng(0)
SHORT, LONG = (32, 46), (8, 254)
"""Texts of a request, characters of each: 32 x 48 and 8 x 256 tokens."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--package", type=Path, default=FOLDER)
    parser.add_argument("--limit", type=float, default=400)
    parser.add_argument("--limit-each", type=float, default=55)
    options = parser.parse_args()
    model = str(base_package(options.package))
    with run_stack(concurrency=options.processes, model=model, timeout=300) as stack:
        idle = proportional(stack.worker.pid)
        peak = Peak(stack.worker.pid)
        with peak:
            work(stack, options.processes)
        after = proportional(stack.worker.pid)
        app = make_celery(stack.settings)
        app.control.pool_grow(1, reply=True, timeout=10)
        work(stack, options.processes + 1)
        more = proportional(stack.worker.pid)
        app.close()
    print(f"{stack.model}, {options.processes} processes")
    for name, parts in (("idle", idle), ("peak", peak.highest), ("after", after), ("one more", more)):
        listed = ", ".join(f"{part / MEGABYTE:.0f}" for part in parts[1:])
        print(f"{name:<9} {sum(parts) / MEGABYTE:>6.1f} MB PSS (parent {parts[0] / MEGABYTE:.0f}, processes {listed})")
    each = (sum(more) - sum(after)) / MEGABYTE
    print(f"a process more costs {each:.1f} MB")
    sys.exit(sum(after) / MEGABYTE > options.limit or each > options.limit_each)


def work(stack, processes) -> None:
    """Send work until every process has served several batches; each request is a batch by itself."""
    parent = psutil.Process(stack.worker.pid)
    before = {child.pid: child.cpu_times().user for child in parent.children()}
    with Client(settings=stack.settings) as ner:
        for count, length in (SHORT, SHORT, SHORT, LONG, LONG):
            jobs = [ner.submit_many(draw(count, length)) for _ in range(2 * processes)]
            assert all(document.error is None for job in jobs for document in job.result())
    lazy = [child.pid for child in parent.children() if child.cpu_times().user - before.get(child.pid, 0) < 1]
    assert not lazy, f"processes {lazy} have hardly worked; send more"


def draw(count, length) -> list[str]:
    """Return texts of random characters: no two are alike, for those would be inferred once."""
    return ["".join(map(chr, RANDOM.integers(0x4E00, 0x9000, length))) for _ in range(count)]


if __name__ == "__main__":
    main()
