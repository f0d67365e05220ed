"""Measure how many workers one Redis can serve: 1 to 64 stub workers, real requests, CPU time of Redis.

    PYTHONPATH=tests python tests/benchmarks/scale.py [--seconds 4] [--plot docs/how-to/scaling.svg] [--json FILE]
    PYTHONPATH=tests python tests/benchmarks/scale.py --addresses [--seconds 8]

With --addresses, it compares 1, 2 and 4 Redis servers in HANNER_BROKER_URL with the same stub workers.
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
ADDRESSES = (1, 2, 4)
"""Numbers of Redis servers that --addresses compares."""
ADDRESS_WORKERS = 16
"""Workers of base size in that comparison, for all servers together: few enough for a machine with two cores."""
IDLE_SECONDS = 2.0
IN_FLIGHT = 1000
"""Maximum number of requests in flight; more would saturate the event loop."""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--addresses", action="store_true")
    options = parser.parse_args()
    if options.addresses:
        compare_addresses(options.seconds)
        return
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


def compare_addresses(seconds):
    """Print the rate at which the busiest of 1, 2 and 4 servers fills a core, and the ratios, for requests of one text.

    The cost of an idle server, such as its timers and polls, is subtracted, because it does not grow with the rate.
    """
    print("Redis  texts/s  commands of the busiest Redis  Redis us/text  limit, texts/s  ratio")
    first = None
    for count in ADDRESSES:
        row = measure(ADDRESS_WORKERS, ENGINES["base"], 1, seconds, servers=count, idles=True)
        idle, busy = row["idle"], row["busiest"]
        micros = 1e6 * (row["busy"] - idle * count) / row["rate"]
        limit = row["rate"] * (1 - idle) / (busy - idle)
        first = first or limit
        print(
            f"{count:5} {row['rate']:8,.0f} {row['share']:30.0%} {micros:14.1f} {limit:15,.0f} {limit / first:6.2f}",
            flush=True,
        )


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


def measure(workers, rate, size, seconds, servers=1, *, idles=False):
    """Run stubs on requests of `size` texts for some seconds; return rates and costs.

    `busy`, `micros` and `commands` are those of all servers together. `limit` is the rate at which the busiest server
    fills a core, `share` is that server's share of the commands, and `busiest` that of a core; `idle` is the same of an
    idle one.
    """
    with contextlib.ExitStack() as stack:
        urls = [stack.enter_context(redis_server()).url for _ in range(servers)]
        for url in urls:
            stack.enter_context(run_stubs(url, workers // servers, rate))
        return asyncio.run(load(urls, workers, rate, size, seconds, idles=idles))


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


async def load(urls, workers, rate, size, seconds, *, idles=False):
    """Keep all stubs busy; after a warm-up of a second, count results, and CPU time and commands of Redis.

    With `idles`, the CPU time of an idle server is measured before.
    """
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
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(redis.Redis.from_url(url)) for url in urls]
        list(map(redis_usage, clients))  # connect before the machine is busy
        idle = await idle_usage(clients) if idles else 0.0
        ner = AsyncClient(",".join(urls), connect_timeout=60)
        tasks = [asyncio.create_task(send(ner)) for _ in range(senders)]
        await asyncio.sleep(1 + 32 / rate)
        before, count, started = list(map(redis_usage, clients)), done, time.monotonic()
        await asyncio.sleep(max(seconds, 4 * size / rate))
        after, count, elapsed = list(map(redis_usage, clients)), done - count, time.monotonic() - started
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await ner.close()
    cpu = [later[0] - earlier[0] for later, earlier in zip(after, before, strict=True)]
    commands = [later[1] - earlier[1] for later, earlier in zip(after, before, strict=True)]
    return {
        "rate": count / elapsed,
        "busy": sum(cpu) / elapsed,
        "micros": 1e6 * sum(cpu) / max(1, count),
        "commands": sum(commands) / max(1, count),
        "limit": count / max(cpu),
        "busiest": max(cpu) / elapsed,
        "idle": idle,
        "share": max(commands) / sum(commands),
    }


async def idle_usage(clients):
    """Return the mean share of a core that a server uses while its workers wait for requests."""
    before = [redis_usage(client)[0] for client in clients]
    await asyncio.sleep(IDLE_SECONDS)
    after = [redis_usage(client)[0] for client in clients]
    return (sum(after) - sum(before)) / len(clients) / IDLE_SECONDS


def redis_usage(client):
    """Return the CPU seconds and the number of commands of Redis so far."""
    info = client.info()
    return info["used_cpu_user"] + info["used_cpu_sys"], info["total_commands_processed"]


def measure_parent(rate, seconds):
    """Return the microseconds of CPU time per text of the parent of a real worker."""
    with redis_server() as server:
        env = {"SLOW_WORKER_RATE": str(rate)}
        with worker(server.url, "-c", "1", app="support.slow_worker", env=env, ready=False, cold=True) as running:
            asyncio.run(load([server.url], 1, rate, 1, 0.1))
            process = psutil.Process(running.process.pid)
            before = process.cpu_times()
            result = asyncio.run(load([server.url], 1, rate, 1, seconds))
            after = process.cpu_times()
    spent = after.user + after.system - before.user - before.system
    return 1e6 * spent / (result["rate"] * (seconds + 1 + 32 / rate))


if __name__ == "__main__":
    main()
