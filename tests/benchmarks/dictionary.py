"""Measure the cost of a dictionary with a million terms: memory, load time, and slowdown of texts.

    PYTHONPATH=tests python tests/benchmarks/dictionary.py [--terms 1000000] [--texts 256] [--rounds 5] [--slower 0.1]

Terms are random: 2 to 8 Chinese characters, of 20 types, every tenth one suppressed. They are compiled as in a worker,
in a separate process, whose peak memory is measured. Then a parent with the bundled model forks 4 processes, each
processes texts with the dictionary, and their memory is summed as PSS (shared pages counted once) with and without it.
Speed is CPU time on the built-in sentences; runs with and without alternate. Prints medians. Exits with 1 if texts are
slower by more than --slower.
"""

import argparse
import os
import random
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

import psutil

from hanner.settings import Settings
from hanner_inference import load
from hanner_models.conversion.calibration_data import built_in_sentences

PROCESSES = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--terms", type=int, default=1_000_000)
    parser.add_argument("--texts", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--slower", type=float, default=0.1)
    options = parser.parse_args()
    texts = (built_in_sentences() * options.texts)[: options.texts]
    with tempfile.TemporaryDirectory() as scratch:
        path = write_terms(Path(scratch) / "terms.tsv", options.terms)
        plain = load(settings=Settings())
        started, cpu = time.perf_counter(), children_cpu()
        with_terms = load(settings=Settings(), dictionary=path)
        seconds, cpu = time.perf_counter() - started, children_cpu() - cpu
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        size = with_terms.dictionary._compiled.stat().st_size / 1e6
        print(f"{options.terms:,} terms, {path.stat().st_size / 1e6:.1f} MB as text, {size:.1f} MB compiled")
        print(f"compiling: {cpu:.1f} s of CPU time, a process of {peak:.0f} MB; ready after {seconds:.1f} s")
        without, with_ = (memory(each, texts) for each in (plain, with_terms))
        print(f"parent and {PROCESSES} processes: {without:.0f} MB without, {with_:.0f} MB with it (PSS)")
        rates = {each: [] for each in (plain, with_terms)}
        for _ in range(options.rounds):
            for each, values in rates.items():
                started = time.process_time()
                each.run(texts)
                values.append(len(texts) / (time.process_time() - started))
        slower = statistics.median(a / b - 1 for a, b in zip(*rates.values(), strict=True))
        before, after = map(statistics.median, rates.values())
        print(f"{before:,.0f} texts/s without, {after:,.0f} with it: {slower:.1%} slower")
    sys.exit(slower > options.slower)


def write_terms(path, count) -> Path:
    rng = random.Random(0)
    characters = [chr(0x4E00 + int(rng.paretovariate(0.4)) % 6000) for _ in range(5000)]
    terms = set()
    while len(terms) < count:
        terms.add("".join(rng.choices(characters, k=rng.randint(2, 8))))
    kinds = ["-", "-", *(f"TYPE{number}" for number in range(18))]
    path.write_text("".join(f"{term}\t{rng.choice(kinds)}\n" for term in sorted(terms)), "utf-8")
    return path


def children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def memory(recogniser, texts) -> float:
    """Return the memory in MB of this process and of PROCESSES forked from it, after each has processed the texts."""
    done, go = os.pipe(), os.pipe()
    children = []
    for _ in range(PROCESSES):
        if (pid := os.fork()) == 0:
            recogniser.run(texts)
            os.write(done[1], b".")
            os.read(go[0], 1)
            os._exit(0)
        children.append(pid)
    for _ in children:
        os.read(done[0], 1)
    total = sum(psutil.Process(pid).memory_full_info().pss for pid in (os.getpid(), *children)) / 1e6
    os.write(go[1], b"." * PROCESSES)
    for pid in children:
        os.waitpid(pid, 0)
    return total


if __name__ == "__main__":
    main()
