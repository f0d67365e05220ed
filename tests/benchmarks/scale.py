"""Measure how many workers one Redis can serve: 1 to 64 stub workers, real requests, CPU time of Redis.

    PYTHONPATH=tests python tests/benchmarks/scale.py [--seconds 4] [--plot docs/how-to/scaling.svg] [--json FILE]

On a machine with few cores, the client and the stubs are the bottleneck, not Redis. So the benchmark measures the CPU
time that Redis needs per text (`INFO cpu`). Its inverse is the limit of a Redis with a core of its own. That limit is
calculated, not reached.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import subprocess
import sys
import time
from pathlib import Path

import psutil
import redis
from scale_plot import curve

from hanner import AsyncClient
from support.servers import redis_server
from support.workers import worker

STUBS = Path(__file__).with_name("scale_stubs.py")
TEXT = "马云在杭州阿里巴巴总部发表演讲，王小明昨天去了北京大学听他说话，很多人都在场。"
WORKERS = (1, 2, 4, 8, 16, 32, 64)
ENGINES = {"base": 32.0, "small": 668.0}
"""Texts per second of one process: a model of RaNER's size in INT8, and hanner-small, on one core with AMX."""
CHUNK = 64
SERIES = (
    ("base", "single", 1, WORKERS),
    ("small", "single", 1, WORKERS[::2]),
    ("small", "chunks", CHUNK, WORKERS[::2]),
)
"""Engine, kind of request (as sent by `extract`, or by `stream`), texts per request, and numbers of workers."""
IN_FLIGHT = 1000
"""Maximum number of requests in flight; more would saturate the event loop."""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = []
    print("engine  kind     workers  texts/s  of ideal  Redis busy  Redis us/text  commands/text  Redis limit")
    for engine, kind, size, counts in SERIES:
        rate = ENGINES[engine]
        for workers in counts:
            row = {"engine": engine, "kind": kind, "workers": workers} | measure(workers, rate, size, options.seconds)
            rows.append(row)
            print(
                f"{engine:7} {kind:8} {workers:7} {row['rate']:8,.0f} {row['rate'] / workers / rate:9.0%}"
                f" {row['busy']:11.0%} {row['micros']:14.1f} {row['commands']:14.2f} {row['limit']:13,.0f}/s",
                flush=True,
            )
    for fit in fit_costs(rows):
        print("{kind:8} {text:6.1f} us/text and {worker:6.0f} us/s for each worker".format(**fit))
    for engine, kind, _, _ in SERIES:
        print(f"{engine}, {kind}: one Redis core is saturated by {saturating_workers(rows, engine, kind):.0f} workers")
    save(rows, options)
    parent = measure_parent(ENGINES["small"], options.seconds)
    print(f"parent of a real worker: {parent:.0f} us/text, so {1e6 / parent:,.0f} texts/s at most")


def save(rows, options):
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n", "ascii")
    if options.plot:
        saturated_at = {(engine, kind): saturating_workers(rows, engine, kind) for engine, kind, _, _ in SERIES}
        options.plot.write_text(curve(rows, ENGINES, saturated_at), "utf-8")


def fit_costs(rows):
    """Yield the cost for Redis per text and per worker, fitted by least squares.

    Idle workers also poll the queue and renew their leases. If client and stubs are starved for CPU time, that would
    raise the cost per text, so it is a separate term.
    """
    for kind in dict.fromkeys(row["kind"] for row in rows):
        selected = [row for row in rows if row["kind"] == kind]
        tt, tw, ww, tb, wb = (
            sum(row[one] * row[two] for row in selected)
            for one, two in itertools.chain(
                [("rate", "rate"), ("rate", "workers"), ("workers", "workers")], [("rate", "busy"), ("workers", "busy")]
            )
        )
        det = tt * ww - tw * tw
        yield {"kind": kind, "text": 1e6 * (tb * ww - wb * tw) / det, "worker": 1e6 * (wb * tt - tb * tw) / det}


def saturating_workers(rows, engine, kind):
    """Return the number of workers at full speed that saturate one core of Redis."""
    (cost,) = [fit for fit in fit_costs(rows) if fit["kind"] == kind]
    return 1e6 / (cost["text"] * ENGINES[engine] + cost["worker"])


def measure(workers, rate, size, seconds):
    """Run stubs on requests of `size` texts for some seconds; return rates and costs."""
    with redis_server() as server, run_stubs(server.url, workers, rate):
        return asyncio.run(load(server.url, workers, rate, size, seconds))


@contextlib.contextmanager
def run_stubs(url, workers, rate):
    """Run the stub workers, up to 16 in each process."""
    running = []
    try:
        for first in range(0, workers, 16):
            command = [sys.executable, str(STUBS), url, str(min(16, workers - first)), str(rate)]
            running.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        for process in running:
            assert process.stdout.readline() == "ready\n"
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()
            process.stdout.close()


async def load(url, workers, rate, size, seconds):
    """Keep all stubs busy; after a warm-up of a second, count results, and CPU time and commands of Redis."""
    done = 0

    async def send(ner):
        nonlocal done
        while True:
            if size == 1:
                await ner.extract(TEXT, timeout=None)
            else:
                await ner.extract_many([TEXT] * size, timeout=None)
            done += size

    # Three batches per worker: one runs, one waits, one is being sent.
    senders = max(1, min(IN_FLIGHT, workers * 96) if size == 1 else workers * 2)
    with redis.Redis.from_url(url) as client:
        redis_usage(client)  # connect before the machine is busy
        ner = AsyncClient(url, connect_timeout=60)
        tasks = [asyncio.create_task(send(ner)) for _ in range(senders)]
        await asyncio.sleep(1 + 32 / rate)
        before, count, started = redis_usage(client), done, time.monotonic()
        await asyncio.sleep(max(seconds, 4 * size / rate))
        after, count, elapsed = redis_usage(client), done - count, time.monotonic() - started
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await ner.close()
    cpu, commands = (later - earlier for later, earlier in zip(after, before, strict=True))
    return {
        "rate": count / elapsed,
        "busy": cpu / elapsed,
        "micros": 1e6 * cpu / max(1, count),
        "commands": commands / max(1, count),
        "limit": count / cpu,
    }


def redis_usage(client):
    """Return the CPU seconds and the number of commands of Redis so far."""
    info = client.info()
    return info["used_cpu_user"] + info["used_cpu_sys"], info["total_commands_processed"]


def measure_parent(rate, seconds):
    """Return the microseconds of CPU time per text of the parent of a real worker."""
    with redis_server() as server:
        env = {"SLOW_WORKER_RATE": str(rate)}
        with worker(server.url, "-c", "1", app="support.slow_worker", env=env, ready=False, cold=True) as running:
            asyncio.run(load(server.url, 1, rate, 1, 0.1))
            process = psutil.Process(running.process.pid)
            before = process.cpu_times()
            result = asyncio.run(load(server.url, 1, rate, 1, seconds))
            after = process.cpu_times()
    spent = after.user + after.system - before.user - before.system
    return 1e6 * spent / (result["rate"] * (seconds + 1 + 32 / rate))


if __name__ == "__main__":
    main()
