"""Measure the peak memory of a worker under load, parent and pool processes, as PSS. Linux only.

    python tests/benchmarks/memory.py [--texts 3000] [--processes 2] [--limit 250]

Proportional set size (PSS) divides shared pages among the processes that use them, so the sum is the memory that is
really used. It is sampled every 50 ms while mixed texts, including the demo's long article, go through the queue. Exits
with 1 if the peak is above --limit MB.
"""

import argparse
import contextlib
import sys
import threading
from typing import Self

import psutil

from hanner import Client
from hanner.cli import demo_texts
from hanner.cli.local_stack import run_stack

MEGABYTE = 1_000_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=3000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--limit", type=float, default=250)
    options = parser.parse_args()
    with run_stack(concurrency=options.processes) as stack:
        idle = read_pss(stack.worker.pid)
        peak = PeakMemory(stack.worker.pid)
        with peak, Client(settings=stack.settings) as ner:
            texts = [*demo_texts.mixture(options.texts), *[demo_texts.ARTICLE] * 20]
            results = sum(document.error is None for document in ner.stream(texts, timeout=600))
        after = read_pss(stack.worker.pid)
    print(f"{stack.model}, {results:,} results")
    for name, parts in (("idle", idle), ("peak", peak.highest), ("after", after)):
        listed = ", ".join(f"{part / MEGABYTE:.0f}" for part in parts)
        print(f"{name:<6} {sum(parts) / MEGABYTE:>6.1f} MB PSS (parent {listed.replace(', ', ', processes ', 1)})")
    sys.exit(sum(peak.highest) / MEGABYTE > options.limit)


def read_pss(parent: int) -> list[int]:
    """Return the PSS in bytes of a process and of each of its children, except those that exit meanwhile."""
    process = psutil.Process(parent)
    found = []
    for each in (process, *process.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            found.append(each.memory_full_info().pss)
    return found


class PeakMemory:
    """Samples the memory of a process tree in a thread. `highest` is the sample with the largest sum."""

    def __init__(self, parent: int) -> None:
        self.highest: list[int] = []
        self._parent = parent
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._stop.wait(0.05):
            sample = read_pss(self._parent)
            if sum(sample) > sum(self.highest):
                self.highest = sample


if __name__ == "__main__":
    main()
