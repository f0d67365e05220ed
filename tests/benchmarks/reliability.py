"""Measure the cost of reliable delivery: this worker compared with an earlier one that used kombu's acknowledgements.

    PYTHONPATH=tests python tests/benchmarks/reliability.py [--before REVISION] [--texts 2000] [--rounds 8] [--free]

Two workers, each with two processes and its own Redis, alternate on queues with the same texts. The earlier one runs
from a checkout of --before. Prints texts per second, and CPU time per text of worker and Redis, which is more stable if
other programs run. Each ratio is the median over pairs of rounds. With --free the model takes no time, which is the
worst case.
"""

import argparse
import base64
import json
import os
import random
import statistics
import subprocess
import tempfile
import time
import uuid
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import redis

from hanner.cli.local_redis import EmbeddedServer
from support.workers import TESTS, worker

ROOT = TESTS.parent
BEFORE = "deaa7e2"
"""The last revision with kombu's acknowledgements."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", default=BEFORE)
    parser.add_argument("--texts", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--free", action="store_true")
    options = parser.parse_args()
    with ExitStack() as ends:
        before = Path(ends.enter_context(tempfile.TemporaryDirectory()))
        archive = subprocess.run(["git", "archive", options.before], cwd=ROOT, check=True, stdout=subprocess.PIPE)
        subprocess.run(["tar", "x", "-C", before], input=archive.stdout, check=True)
        sides = [ends.enter_context(side(folder, free=options.free)) for folder in (before, ROOT)]
        texts = [text(random.Random(number)) for number in range(options.texts)]
        for each in sides:
            each.round(texts)  # warm-up
        # The order is before, now, now, before, so that a slowdown of the machine affects both equally.
        pairs = []
        for number in range(options.rounds):
            order = sides if number % 2 else sides[::-1]
            results = {each: each.round(texts) for each in order}
            pairs.append([results[each] for each in sides])
    report(pairs, options)


def report(pairs, options) -> None:
    print(f"{options.rounds} pairs of rounds of {options.texts} texts, {'no' if options.free else 'the bundled'} model")
    print(f"{'':<24}{'before':>10}{'now':>10}{'ratio':>8}")
    for name, place, scale, unit in (("texts/s", 0, 1, "7.0f"), ("CPU us/text", 1, 1e6, "7.0f")):
        before, now = (statistics.median(pair[side][place] for pair in pairs) * scale for side in (0, 1))
        ratio = statistics.median(pair[1][place] / pair[0][place] for pair in pairs)
        print(f"{name:<24}{before:>10{unit[1:]}}{now:>10{unit[1:]}}{ratio:>8.3f}")


@contextmanager
def side(folder, *, free):
    """Yield a Side whose worker runs the sources in `folder`."""
    sources = [str(folder / part) for part in ("producer", "worker")]
    env = {"PYTHONPATH": os.pathsep.join([str(TESTS), *sources]), "CHAOS_SECONDS_PER_TEXT": "0"}
    app = "chaos.worker" if free else "hanner_worker"
    with (
        EmbeddedServer() as server,
        worker(server.url, "-c", "2", "-l", "WARNING", app=app, env=env, ready=False, cold=True) as w,
    ):
        client = redis.Redis.from_url(server.url, socket_timeout=60)
        while not client.zcard("hanner:hanner:leases") and not client.exists("_kombu.binding.hanner"):
            time.sleep(0.1)
        yield Side(client, [server.process.pid, w.process.pid])
        client.close()


class Side:
    """A worker and its Redis."""

    def __init__(self, client, pids) -> None:
        self._client = client
        self._pids = pids

    def round(self, texts) -> tuple[float, float]:
        """Queue these texts and wait for all results; return texts per second and CPU seconds per text."""
        messages = dict(map(message, texts))
        keys = [f"celery-task-meta-{task_id}" for task_id in messages]
        cpu, started = self._cpu_time(), time.perf_counter()
        self._client.lpush("hanner", *messages.values())
        while self._client.exists(*keys) < len(keys):
            time.sleep(0.02)
        seconds = time.perf_counter() - started
        cpu = self._cpu_time() - cpu
        self._client.unlink(*keys)
        return len(texts) / seconds, cpu / len(texts)

    def _cpu_time(self) -> float:
        processes = [psutil.Process(pid) for pid in self._pids]
        processes += [child for process in processes for child in process.children(recursive=True)]
        return sum(sum(process.cpu_times()[:2]) for process in processes)


def text(random_) -> str:
    return "马云在" + "".join(map(chr, random_.choices(range(0x4E00, 0x5000), k=random_.randrange(10, 50))))


def message(text) -> tuple[str, bytes]:
    """Return a task id, and the message in the form of Celery's client."""
    task_id = str(uuid.uuid4())
    body = base64.b64encode(json.dumps([[text], {}, {}]).encode()).decode()
    headers = {"lang": "py", "task": "hanner.extract", "id": task_id, "root_id": task_id, "retries": 0}
    properties = {
        "correlation_id": task_id,
        "delivery_mode": 2,
        "delivery_info": {"exchange": "", "routing_key": "hanner"},
        "priority": 0,
        "body_encoding": "base64",
        "delivery_tag": str(uuid.uuid4()),
    }
    whole = {
        "body": body,
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": headers,
        "properties": properties,
    }
    return task_id, json.dumps(whole).encode()


if __name__ == "__main__":
    main()
