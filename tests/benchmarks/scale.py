"""How many workers one Redis feeds: 1 to 64 stubs, real texts from a real client, Redis' own seconds counted apart.

    PYTHONPATH=tests python tests/benchmarks/scale.py [--seconds 4] [--plot docs/how-to/scaling.svg] [--json FILE]

On a machine of few cores the client and the stubs are what is exhausted, not Redis. So what counts is how many seconds
of a core Redis itself needs for a text (`INFO cpu`): one over that is what it can do when it has a core for itself.
That limit is computed, not reached.
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
from plots import curve

from hanner import AsyncClient
from support.servers import redis_server
from support.workers import worker

HOST = Path(__file__).with_name("scale_host.py")
TEXT = "马云在杭州阿里巴巴总部发表演讲，王小明昨天去了北京大学听他说话，很多人都在场。"
WORKERS = (1, 2, 4, 8, 16, 32, 64)
ENGINES = {"base": 32.0, "small": 668.0}
"""Texts a second of one process: RaNER's size in INT8, and the bundled model, on one core with AMX."""
PARCEL = 64
SERIES = (
    ("base", "single", 1, WORKERS),
    ("small", "single", 1, WORKERS[::2]),
    ("small", "parcels", PARCEL, WORKERS[::2]),
)
"""Engine, how many texts a request holds (as `extract` sends them, and as `stream` does), and workers."""
IN_FLIGHT = 1000
"""Most requests in flight: an event loop with more does nothing else."""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = []
    print("engine  kind     workers  texts/s  of ideal  Redis busy  Redis us/text  commands/text  Redis could do")
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
    for told in fits(rows):
        print("{kind:8} {text:6.1f} us/text and {worker:6.0f} us/s for each worker".format(**told))
    for engine, kind, _, _ in SERIES:
        print(f"{engine}, {kind}: Redis' core is full with {full_with(rows, engine, kind):.0f} workers")
    save(rows, options)
    parent = parent_cost(ENGINES["small"], options.seconds)
    print(f"parent of a real worker: {parent:.0f} us/text, so {1e6 / parent:,.0f} texts/s at most")


def save(rows, options):
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n", "ascii")
    if options.plot:
        full = {(engine, kind): full_with(rows, engine, kind) for engine, kind, _, _ in SERIES}
        options.plot.write_text(curve(rows, ENGINES, full), "utf-8")


def fits(rows):
    """Yield what a text and what a worker's mere presence cost Redis, by least squares over all that was measured.

    Where the machine starves client and stubs, Redis still does the workers' looks and renewals; per text that would
    look dear. So the two are told apart.
    """
    for kind in dict.fromkeys(row["kind"] for row in rows):
        ours = [row for row in rows if row["kind"] == kind]
        tt, tw, ww, tb, wb = (
            sum(row[one] * row[two] for row in ours)
            for one, two in itertools.chain(
                [("rate", "rate"), ("rate", "workers"), ("workers", "workers")], [("rate", "busy"), ("workers", "busy")]
            )
        )
        det = tt * ww - tw * tw
        yield {"kind": kind, "text": 1e6 * (tb * ww - wb * tw) / det, "worker": 1e6 * (wb * tt - tb * tw) / det}


def full_with(rows, engine, kind):
    """Return how many workers at their full pace fill one core of Redis'."""
    (told,) = [fit for fit in fits(rows) if fit["kind"] == kind]
    return 1e6 / (told["text"] * ENGINES[engine] + told["worker"])


def measure(workers, rate, size, seconds):
    """Let stubs work for some seconds on requests of `size` texts; return what it came to."""
    with redis_server() as server, hosts(server.url, workers, rate):
        return asyncio.run(load(server.url, workers, rate, size, seconds))


@contextlib.contextmanager
def hosts(url, workers, rate):
    """Run the stubs, some of them in each process."""
    running = []
    try:
        for first in range(0, workers, 16):
            command = [sys.executable, str(HOST), url, str(min(16, workers - first)), str(rate)]
            running.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        for one in running:
            assert one.stdout.readline() == "ready\n"
        yield
    finally:
        for one in running:
            one.kill()
            one.wait()
            one.stdout.close()


async def load(url, workers, rate, size, seconds):
    """Keep every stub supplied; count what is answered and what Redis did for it, after a second of warming up."""
    done = 0

    async def ask(ner):
        nonlocal done
        while True:
            if size == 1:
                await ner.extract(TEXT, timeout=None)
            else:
                await ner.extract_many([TEXT] * size, timeout=None)
            done += size

    # Three batches for each: one runs, one waits, one is on its way.
    askers = max(1, min(IN_FLIGHT, workers * 96) if size == 1 else workers * 2)
    with redis.Redis.from_url(url) as client:
        used(client)  # connected before the machine is busy
        ner = AsyncClient(url, connect_timeout=60)
        asking = [asyncio.create_task(ask(ner)) for _ in range(askers)]
        await asyncio.sleep(1 + 32 / rate)
        before, count, began = used(client), done, time.monotonic()
        await asyncio.sleep(max(seconds, 4 * size / rate))
        after, count, took = used(client), done - count, time.monotonic() - began
        for one in asking:
            one.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        await ner.close()
    cpu, commands = (later - earlier for later, earlier in zip(after, before, strict=True))
    return {
        "rate": count / took,
        "busy": cpu / took,
        "micros": 1e6 * cpu / max(1, count),
        "commands": commands / max(1, count),
        "limit": count / cpu,
    }


def used(client):
    """Return the seconds of a core that Redis has had, and the commands it has done."""
    info = client.info()
    return info["used_cpu_user"] + info["used_cpu_sys"], info["total_commands_processed"]


def parent_cost(rate, seconds):
    """Return the microseconds that the parent of a real worker needs for a text."""
    with redis_server() as server:
        env = {"SLOW_WORKER_RATE": str(rate)}
        with worker(server.url, "-c", "1", app="support.slow_worker", env=env, ready=False) as running:
            asyncio.run(load(server.url, 1, rate, 1, 0.1))
            process = psutil.Process(running.process.pid)
            before = process.cpu_times()
            told = asyncio.run(load(server.url, 1, rate, 1, seconds))
            after = process.cpu_times()
    spent = after.user + after.system - before.user - before.system
    return 1e6 * spent / (told["rate"] * (seconds + 1 + 32 / rate))


if __name__ == "__main__":
    main()
