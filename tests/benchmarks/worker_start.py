"""Measure the start of a worker with a model of BERT-base's size, and the replacement of a killed pool process.

    PYTHONPATH=tests python tests/benchmarks/worker_start.py [--rounds 5] [--package FOLDER] [--ready 2.0]
        [--recovery 0.3]

In each round a worker with one process is started; its times to the log line `ready` and to the first result are
measured. Then its pool process is killed and a text is sent immediately; the time to the result includes the detection
of the exit and the fork of a new process. Prints medians and maxima in seconds, and the CPU time of the start, which
other load on the machine hardly affects. Exits with 1 if a median is above --ready or --recovery.
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
    parser.add_argument("--recovery", type=float, default=0.3)
    options = parser.parse_args()
    package = str(base_package(options.package))
    times = {
        name: [] for name in ("ready", "CPU time until ready", "first result", "result, idle", "recovery after kill")
    }
    with redis_server() as server:
        for _ in range(options.rounds):
            for name, seconds in one_round(server.url, package).items():
                times[name].append(seconds)
    print(f"{Path(package).name}, {options.rounds} rounds")
    print(f"{'':<22} median     max")
    for name, seconds in times.items():
        print(f"{name:<22} {statistics.median(seconds):>6.3f} {max(seconds):>7.3f} s")
    slow = statistics.median(times["ready"]) > options.ready
    sys.exit(slow or statistics.median(times["recovery after kill"]) > options.recovery)


def one_round(url, package) -> dict[str, float]:
    times = {}
    started = time.perf_counter()
    with worker(url, "-c", "1", app="hanner_worker", env={"HANNER_MODEL": package}, ready=False, cold=True) as running:
        with Client(url, timeout=60) as ner:
            running.wait_for("ready: model", timeout=60)
            times["ready"] = time.perf_counter() - started
            process = psutil.Process(running.process.pid)
            times["CPU time until ready"] = sum(process.cpu_times()[:2])
            ner.extract(TEXT)
            times["first result"] = time.perf_counter() - started
            times["result, idle"] = timed(lambda: ner.extract(TEXT))
            (killed,) = process.children()
            times["recovery after kill"] = timed(lambda: (os.kill(killed.pid, signal.SIGKILL), ner.extract(TEXT)))
            (replacement,) = process.children()
            assert replacement.pid != killed.pid
        running.stop()
    return times


def timed(call) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
