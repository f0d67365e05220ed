"""Measure the start of the command line: help, shell completion, version, and the first result of `hanner extract`.

    PYTHONPATH=tests python tests/benchmarks/cli_start.py [--rounds 20] [--limit 0.15]

Prints the median and minimum of the wall-clock time, and the CPU time, which other load on the machine hardly affects.
Exits with 1 if the median of help or completion is above --limit.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

from support.servers import redis_server
from support.stub_worker import StubWorker

HANNER = str(Path(sys.executable).with_name("hanner"))
COMPLETE = {"_HANNER_COMPLETE": "complete_bash"}
FAST = {
    "hanner --help": (["--help"], {}),
    "hanner extract --help": (["extract", "--help"], {}),
    "complete `hanner ex`": ([], {**COMPLETE, "COMP_WORDS": "hanner ex", "COMP_CWORD": "1"}),
    "complete `--format j`": ([], {**COMPLETE, "COMP_WORDS": "hanner extract --format j", "COMP_CWORD": "3"}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--limit", type=float, default=0.15)
    options = parser.parse_args()
    print(f"{'':<24} median  minimum  CPU")
    slow = [measure(name, *command, options.rounds) > options.limit for name, command in FAST.items()]
    measure("hanner version", ["version"], {}, options.rounds)
    with redis_server() as server, StubWorker(server.url):
        measure("hanner extract TEXT", ["extract", "马云"], {"HANNER_BROKER_URL": server.url}, options.rounds)
    sys.exit(any(slow))


def measure(name, arguments, env, rounds) -> float:
    """Print the times of a command, and return the median."""
    wall, cpu = [], []
    for _ in range(rounds):
        before, began = children_cpu(), time.perf_counter()
        subprocess.run([HANNER, *arguments], env={**os.environ, **env}, stdout=subprocess.DEVNULL, check=True)
        wall.append(time.perf_counter() - began)
        cpu.append(children_cpu() - before)
    print(f"{name:<24} {statistics.median(wall):>6.3f} {min(wall):>8.3f} {statistics.median(cpu):>5.3f} s")
    return statistics.median(wall)


def children_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
