"""Check that the memory of a process does not grow over many texts. Linux only.

    PYTHONPATH=tests python tests/benchmarks/memory_growth.py [--texts 100000] [--settle 5000] [--model FOLDER]
        [--share 0.03]

Different texts, some with several windows, go through the model in this process, 32 at a time, as in a pool process.
Anonymous memory is read after --settle texts and at the end. Exits with 1 if it has grown by more than --share. The
default model is a small one with random weights.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from hanner_inference import load
from support.base_package import write_random_package

MEGABYTE = 1_000_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=100_000)
    parser.add_argument("--settle", type=int, default=5_000)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--share", type=float, default=0.03)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        recogniser = load(options.model or write_random_package(Path(scratch) / "small"))
        growth = run(recogniser, options)
    sys.exit(growth > options.share)


def run(recogniser, options) -> float:
    """Process the texts, print the memory regularly, and return its relative growth since it settled."""
    random = np.random.default_rng(0)
    settled = done = 0
    started = time.perf_counter()
    while done < options.texts:
        recogniser.run([random_text(random) for _ in range(32)])
        done += 32
        if done - 32 < options.settle <= done:
            settled = memory()
            print(f"{done:>8,} texts {settled / MEGABYTE:>7.1f} MB, settled", flush=True)
        if done % 10_016 < 32 or done >= options.texts:
            print(
                f"{done:>8,} texts {memory() / MEGABYTE:>7.1f} MB {time.perf_counter() - started:>6.0f} s", flush=True
            )
    growth = memory() / settled - 1
    print(f"{recogniser.model}: {growth:+.1%} since {options.settle:,} texts")
    return growth


def random_text(random) -> str:
    """Return a text of 1 to 60 characters; one in a hundred has up to 600."""
    length = random.integers(1, 61) * (10 if random.random() < 0.01 else 1)
    return "".join(map(chr, random.integers(0x4E00, 0x6000, length)))


def memory() -> int:
    """Return the bytes of anonymous memory; other resident pages depend on other processes."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))


if __name__ == "__main__":
    main()
