"""What losing nothing costs: this worker beside the one before it held messages in Redis, in the same minutes.

    PYTHONPATH=tests python tests/benchmarks/reliability.py [--before REVISION] [--texts 2000] [--rounds 8] [--free]

Two workers, each with two processes and a Redis of its own, take turns with queues of the same texts; the one before
runs from a checkout of --before. Prints the texts per second of both, and the processor time that worker and Redis
spend on a text, which is steadier where other programs run; each ratio is the median over the pairs of rounds.
With --free the model takes no time, so that only the machinery is left: the worst case.
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
"""The last revision that acknowledged as kombu does."""


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
        for one in sides:
            one.round(texts)  # caches, connections, first allocations
        # Turns in the order before, now, now, before, so that a machine that slows down favours neither.
        pairs = []
        for number in range(options.rounds):
            order = sides if number % 2 else sides[::-1]
            found = {one: one.round(texts) for one in order}
            pairs.append([found[one] for one in sides])
    report(pairs, options)


def report(pairs, options) -> None:
    print(f"{options.rounds} pairs of rounds of {options.texts} texts, {'no' if options.free else 'the bundled'} model")
    print(f"{'':<24}{'before':>10}{'now':>10}{'ratio':>8}")
    for name, place, scale, unit in (("texts/s", 0, 1, "7.0f"), ("processor us/text", 1, 1e6, "7.0f")):
        before, now = (statistics.median(pair[side][place] for pair in pairs) * scale for side in (0, 1))
        ratio = statistics.median(pair[1][place] / pair[0][place] for pair in pairs)
        print(f"{name:<24}{before:>10{unit[1:]}}{now:>10{unit[1:]}}{ratio:>8.3f}")


@contextmanager
def side(folder, *, free):
    """Yield a Side whose worker runs from the sources in `folder`."""
    sources = [str(folder / part) for part in ("producer", "worker")]
    env = {"PYTHONPATH": os.pathsep.join([str(TESTS), *sources]), "CHAOS_SECONDS_PER_TEXT": "0"}
    app = "chaos.worker" if free else "hanner_worker"
    with EmbeddedServer() as server, worker(server.url, "-c", "2", "-l", "WARNING", app=app, env=env, ready=False) as w:
        client = redis.Redis.from_url(server.url, socket_timeout=60)
        while not client.zcard("hanner:hanner:leases") and not client.exists("_kombu.binding.hanner"):
            time.sleep(0.1)
        yield Side(client, [server.process.pid, w.process.pid])
        client.close()


class Side:
    """One worker and its Redis."""

    def __init__(self, client, pids) -> None:
        self._client = client
        self._pids = pids

    def round(self, texts) -> tuple[float, float]:
        """Let the worker empty a queue of these texts; return texts per second, and processor seconds per text."""
        messages = dict(map(message, texts))
        keys = [f"celery-task-meta-{task_id}" for task_id in messages]
        spent, began = self._spent(), time.perf_counter()
        self._client.lpush("hanner", *messages.values())
        while self._client.exists(*keys) < len(keys):
            time.sleep(0.02)
        took = time.perf_counter() - began
        spent = self._spent() - spent
        self._client.unlink(*keys)
        return len(texts) / took, spent / len(texts)

    def _spent(self) -> float:
        processes = [psutil.Process(pid) for pid in self._pids]
        processes += [child for process in processes for child in process.children(recursive=True)]
        return sum(sum(process.cpu_times()[:2]) for process in processes)


def text(random_) -> str:
    return "马云在" + "".join(map(chr, random_.choices(range(0x4E00, 0x5000), k=random_.randrange(10, 50))))


def message(text) -> tuple[str, bytes]:
    """Return an id, and the message as Celery's client puts it into the queue."""
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
