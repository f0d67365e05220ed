"""How soon a worker of BERT-base's size is there, and how soon a killed pool process is replaced.

    PYTHONPATH=tests python tests/benchmarks/lifecycle.py [--rounds 5] [--package FOLDER] [--ready 2.0] [--back 0.3]

Per round: a worker of one process is started, timed from the start of its program to its line `ready` and to its first
answer. Then its pool process is killed and a text is sent at once: the time from the kill to the answer is that in
which the death is noticed, a new process is forked, and it has served. Prints medians and the worst in seconds, and the
CPU time of the start, which other work on the machine hardly lengthens. Exits 1 when a median is above --ready or
--back.
"""

import argparse
import os
import signal
import statistics
import sys
import time
from pathlib import Path

import psutil

from hanner import Client
from support.base_package import FOLDER, base_package
from support.servers import redis_server
from support.workers import worker

TEXT = "马云在杭州阿里巴巴总部发表演讲"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--package", type=Path, default=FOLDER)
    parser.add_argument("--ready", type=float, default=2.0)
    parser.add_argument("--back", type=float, default=0.3)
    options = parser.parse_args()
    package = str(base_package(options.package))
    times = {
        name: [] for name in ("ready", "CPU time until ready", "first answer", "an answer, idle", "back after a kill")
    }
    with redis_server() as server:
        for _ in range(options.rounds):
            for name, seconds in one_round(server.url, package).items():
                times[name].append(seconds)
    print(f"{Path(package).name}, {options.rounds} rounds")
    print(f"{'':<22} median   worst")
    for name, seconds in times.items():
        print(f"{name:<22} {statistics.median(seconds):>6.3f} {max(seconds):>7.3f} s")
    late = statistics.median(times["ready"]) > options.ready
    sys.exit(late or statistics.median(times["back after a kill"]) > options.back)


def one_round(url, package) -> dict[str, float]:
    times = {}
    began = time.perf_counter()
    with worker(url, "-c", "1", app="hanner_worker", env={"HANNER_MODEL": package}, ready=False) as running:
        with Client(url, timeout=60) as ner:
            running.wait_for("ready: model", timeout=60)
            times["ready"] = time.perf_counter() - began
            process = psutil.Process(running.process.pid)
            times["CPU time until ready"] = sum(process.cpu_times()[:2])
            ner.extract(TEXT)
            times["first answer"] = time.perf_counter() - began
            times["an answer, idle"] = timed(lambda: ner.extract(TEXT))
            (child,) = process.children()
            times["back after a kill"] = timed(lambda: (os.kill(child.pid, signal.SIGKILL), ner.extract(TEXT)))
            (other,) = process.children()
            assert other.pid != child.pid
        running.stop()
    return times


def timed(call) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
