"""Measure the worker's parent while a backlog of large requests and two bombs wait in the queue. Linux only.

    PYTHONPATH=tests python tests/benchmarks/backlog.py [PLAN ...] [--rate 1000000] [--scale 1.0]

Prints a line per plan. While the backlog is processed, an interactive text is sent every half second, and Redis is
pinged every 20 ms. The model is a fake that takes time but no CPU: each of the four processes handles --rate characters
per second. "batch s" is the longest batch. Exits with 1 if a request got no answer, the parent had
more than 400 MB, or an interactive text took longer than a batch and two seconds.
"""

import argparse
import base64
import io
import json
import os
import re
import sys
import threading
import time
import zlib
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import redis

from hanner import Client, HannerError
from support.servers import redis_server
from support.workers import worker

MB = 1_000_000
MAX_MEMORY = 400 * MB
MAX_DELAY = 2.0
PROCESSES = 4
TEXTS = 256
PLANS = {"medium": (400, 2_000), "large": (20, 10_000), "many": (110, 10_000), "bombs": (0, 0)}
"""By name: how many requests with 256 texts, and the characters of each text."""
SENTENCE = "马云在杭州阿里巴巴总部发表演讲，"


@dataclass
class Measurement:
    """What was measured in one plan; memory in bytes, times in seconds."""

    queued: int = 0
    answered: int = 0
    sent: int = 0
    memory: int = 0
    batch: float = 0.0
    interactive: list[float] = field(default_factory=list)
    stall: float = 0.0
    seconds: float = 0.0

    @property
    def passed(self):
        """Whether all limits were kept."""
        in_time = max(self.interactive) <= self.batch + MAX_DELAY
        return self.answered == self.sent and self.memory <= MAX_MEMORY and in_time


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("plans", nargs="*", metavar="PLAN", help=", ".join(PLANS))
    parser.add_argument("--rate", type=float, default=MB, help="characters per second of each process")
    parser.add_argument("--scale", type=float, default=1.0, help="fraction of the requests")
    options = parser.parse_args()
    print("plan    requests  queued MB  answered  parent MB  batch s  interactive p50 s  max s  Redis stall s  total s")
    passed = True
    for name in options.plans or PLANS:
        requests, characters = PLANS[name]
        m = run(round(requests * options.scale), characters, options.rate)
        interactive = sorted(m.interactive)
        print(
            f"{name:<8}{m.sent:>8}{m.queued / MB:>11.0f}{m.answered:>10}{m.memory / MB:>11.0f}{m.batch:>9.1f}"
            f"{interactive[len(interactive) // 2]:>19.2f}{interactive[-1]:>7.2f}{m.stall:>15.2f}{m.seconds:>9.0f}",
            flush=True,
        )
        passed = passed and m.passed
    sys.exit(not passed)


def run(requests, characters, rate):
    """Run one plan; without requests, the two bombs."""
    found = Measurement()
    env = {"SLOW_WORKER_CHARACTERS": str(rate)}
    with redis_server() as server, Client(server.url, timeout=600, max_queue=0) as ner:
        jobs = [] if requests else send_bombs(server, ner)
        text = (SENTENCE * (characters // len(SENTENCE) + 1))[:characters]
        texts = [f"{n}{text}"[:characters] for n in range(TEXTS)]  # equal texts would be inferred once
        jobs += [ner.submit_many(texts) for _ in range(requests)]
        found.sent = len(jobs)
        found.queued = sum(server.client.memory_usage(name, samples=0) or 0 for name in ("hanner", "hanner.bulk"))
        options = {"app": "support.slow_worker", "env": env, "cold": True}
        with (
            redirect_stdout(io.StringIO()),
            worker(server.url, "-c", str(PROCESSES), "-l", "DEBUG", **options) as running,
        ):
            started, ended = time.monotonic(), threading.Event()
            threads = [
                threading.Thread(target=ask, args=(ner, found, ended)),
                threading.Thread(target=ping, args=(server.url, found, ended)),
            ]
            for thread in threads:
                thread.start()
            found.answered = sum(is_answered(job) for job in jobs)
            found.seconds = time.monotonic() - started
            ended.set()
            for thread in threads:
                thread.join()
            found.memory = most_memory(running.process.pid)
            running.wait_for(" took ")
            found.batch = (
                max(float(took) for took in re.findall(r"batch \d+: .* took ([\d.]+) ms", running.output)) / 1000
            )
    return found


def ask(ner, found, ended):
    """Send interactive texts, and measure how long each takes."""
    while not found.interactive or not ended.wait(0.5):
        started = time.monotonic()
        ner.extract(SENTENCE)
        found.interactive.append(time.monotonic() - started)


def ping(url, found, ended):
    """Measure for how long Redis does not answer."""
    with redis.Redis.from_url(url, socket_timeout=60) as client:
        while not ended.wait(0.02):
            started = time.monotonic()
            client.ping()
            found.stall = max(found.stall, time.monotonic() - started)


def is_answered(job):
    """Wait for a result or an error that names its cause."""
    try:
        job.result(timeout=600)
    except HannerError as error:
        return error.code == "invalid_text"
    return True


def send_bombs(server, ner):
    """Queue a body of 150 MB that is compressed to 195 KB, and a text of 120 MB; return their jobs."""
    compressed = zlib.compress(b'[["' + b"x" * (150 * MB) + b'"], {}, {}]')
    return [
        send_raw(server, ner, base64.b64encode(compressed).decode(), {"compression": "gzip"}),
        send_raw(server, ner, base64.b64encode(b'[["' + b"x" * (120 * MB) + b'"], {}, {}]').decode(), {}),
    ]


def send_raw(server, ner, body, headers):
    task_id = str(uuid4())
    message = {
        "body": body,
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"task": "hanner.extract", "id": task_id, "root_id": task_id, **headers},
        "properties": {"delivery_info": {}, "delivery_tag": task_id, "body_encoding": "base64"},
    }
    server.client.lpush("hanner", json.dumps(message))
    return ner.job(task_id)


def most_memory(pid):
    """Return the largest resident memory of a process so far, in bytes."""
    (peak,) = [line.split()[1] for line in Path(f"/proc/{pid}/status").read_text().splitlines() if "VmHWM" in line]
    return int(peak) * 1024


if __name__ == "__main__":
    os.environ.pop("HANNER_BROKER_URL", None)
    main()
