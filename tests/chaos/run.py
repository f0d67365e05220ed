"""Runs one plan: starts Redis, workers and the producer, injects the faults, stops everything and counts."""

import contextlib
import os
import random
import shutil
import signal
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from chaos.announcements import AnnouncementCounter
from chaos.audit import audit
from chaos.event_log import EventLog
from chaos.recovery import Recovery, in_flight_of
from chaos.request_log import RequestLog
from chaos.worker_group import WorkerGroup

TIMEOUT = 120.0


@dataclass
class RunResult:
    """The result of one run."""

    plan: str
    system: str
    seed: int
    faults: int
    audit: object
    recovery: float | None
    seconds: float
    refused: dict
    unexpected: list = field(default_factory=list)
    notes: list = field(default_factory=list)

    @property
    def passed(self):
        """Whether no text is lost, hung, wrong or duplicated, and no process exited unexpectedly."""
        a = self.audit
        complete = a.answered + sum(a.failed.values()) + a.allowed_losses == a.sent
        return complete and not (a.lost or a.hung or a.wrong or a.unanswered or a.duplicates or self.unexpected)


class Run:
    """One run of a plan, and the objects that its fault uses.

    Attributes:
        redis: The broker. A fault may kill, freeze and restart it.
        workers: The workers.
        producer: Sends texts during the whole run.
        log: The texts and their outcomes.
        random: A seeded generator for all choices of a fault.
        recovery: Records deaths and outages.
        faults: The number of faults so far.
        scale: Factor for counts; docs/explanation/reliability.md has results of factor 1, unless noted.
        notes: Remarks for the table.
        unexpected: Unexpected behaviour of processes.
    """

    def __init__(self, plan, system, seed, scale, folder):
        self.plan, self.system, self.seed, self.scale, self.folder = plan, system, seed, scale, Path(folder)
        self.random = random.Random(seed)
        self.recovery = Recovery()
        self.faults = 0
        self.notes = []
        self.unexpected = []
        self.log = RequestLog()
        self.texts = max(200, int(plan.texts * scale))
        self._pause = threading.Event()
        self._cleanup = contextlib.ExitStack()

    def execute(self):
        """Start everything, inject the faults, wait until every caller has its outcome, and count."""
        began = time.monotonic()
        with self._cleanup:
            self._start()
            commands = [c for c, n in self.plan.commands.items() for _ in range(max(1, round(n * self.scale)))]
            self.producer = self.plan.producer(self.url, self.log, self.texts, seed=self.seed, commands=commands)
            with self.producer:
                self.plan.fault(self)
                self.producer.allow(self.texts)
                self._wait_sent()
                self.log.wait_all(self.plan.settle_timeout)
                announced = sum((counter.counts for counter in self.announcements), Counter())
                counts = audit(self._clients(), self.log, announced, self.event_log.starts)
                self.unexpected += [
                    f"{worker.name} exited with {worker.status}" for worker in self.workers.unexpected_exits()
                ]
                if self.producer.failure is not None:
                    raise self.producer.failure
                self.notes += self.producer.notes()
            longest = self.recovery.longest(self.log, self.event_log.starts)
        seconds = time.monotonic() - began
        return RunResult(
            self.plan.name,
            self.system.name,
            self.seed,
            self.faults,
            counts,
            longest,
            seconds,
            dict(self.log.refused),
            self.unexpected,
            self.notes,
        )

    def _wait_sent(self):
        """Wait until all texts are sent, as long as there is progress."""
        seen = -1
        while not self.producer.wait_sent(TIMEOUT):
            if seen == (seen := len(self.log.texts)):
                self.unexpected.append(f"only {seen} of {self.texts} texts could be sent")
                return

    def _start(self):
        enter = self._cleanup.enter_context
        self.redis = self.plan.redis(self.folder / "redis")
        self._cleanup.callback(self.redis.close)
        self.redis.start()
        self.url = self.redis.url
        self.event_log = enter(EventLog(self.folder / "events"))
        self.announcements = [
            enter(AnnouncementCounter(lambda broker=broker: broker.port)) for broker in self.redis.brokers
        ]
        self.workers = enter(WorkerGroup(self.system, self.url, self.folder, self.event_log, env=self.plan.env))
        for _ in range(self.plan.workers):
            self.workers.start()
        groups = [self.workers]
        if self.plan.other_app is not None:
            groups.append(enter(WorkerGroup(self.plan.other_app, self.url, self.folder / "other", self.event_log)))
            groups[1].start("--pool", "solo")
        for group in groups:
            for worker in list(group.workers):
                group.wait_ready(worker)

    def _clients(self):
        """Return a client of each broker."""
        return [broker.client for broker in self.redis.brokers]

    @property
    def client(self):
        """A client of the current master; of the only one, as the faults that use it are for one Redis."""
        return self.redis.client

    def count(self, number):
        """Return a count of the plan, scaled, at least 1."""
        return max(1, round(number * self.scale))

    def pause(self, seconds):
        """Wait while the system works."""
        self._pause.wait(seconds)

    def schedule(self, count):
        """Yield 0..count-1 at random moments, distributed over the texts so that texts are sent all the time."""
        share = self.texts / count
        for number in range(count):
            self.producer.allow(int((number + 1) * share))
            # If the system makes no progress, the next fault is injected after the timeout.
            self.log.wait_finished(int((number + self.random.random()) * share), 20.0)
            self.pause(self.random.uniform(0, 0.1))
            self.faults += 1
            yield number

    def any_worker(self):
        """Return a random ready worker; wait until there is one."""
        if not self.event_log.wait_for(lambda _: self.workers.ready(), TIMEOUT):
            raise TimeoutError("no worker became ready")
        return self.random.choice(self.workers.ready())

    def kill_parent(self):
        """Kill one worker's parent process, and start another worker."""
        victim = self.any_worker()
        victim.signal(signal.SIGKILL)
        self.record_death(victim)
        self.workers.remove(victim)
        self.workers.start()

    def kill_pool_process(self):
        """Kill one pool process. Its parent starts another."""
        pool = self.any_worker().pool()
        if pool:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.random.choice(pool).pid, signal.SIGKILL)

    def record_death(self, victim):
        """Record a worker's death, and the texts it had in flight."""
        in_flight = set().union(*(in_flight_of(client, victim.pid) for client in self._clients()))
        self.recovery.add_death(self.serials(in_flight))

    def allow_loss(self, since):
        """Allow texts accepted after this moment to be lost, and results stored after it to be announced again.

        Returns:
            The number of texts accepted after it.
        """
        texts = list(self.log.texts.values())
        found = [text for text in texts if text.accepted > since]
        for text in found:
            text.may_be_lost = True
        for text in texts:
            text.may_repeat = text.may_repeat or text.ended is None or text.ended > since
        return len(found)

    def wait_for(self, condition, timeout=TIMEOUT):
        """Poll until a condition is true. Return False after `timeout` seconds."""
        until = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > until:
                return False
            self.pause(0.05)
        return True

    def serials(self, ids):
        """Return the serial numbers of the pending texts with these task ids."""
        return {text.serial for text in list(self.log.pending.values()) if text.task_id in ids}


def execute(plan, system, *, seed, scale=1.0, keep=False):
    """Run one plan against one system and return the result. Keep its logs if it fails or if `keep` is true."""
    folder = tempfile.mkdtemp(prefix=f"chaos-{plan.name}-")
    result = None
    try:
        result = Run(plan, system, seed, scale, folder).execute()
    finally:
        if keep or result is None or (system.name == "hanner" and not result.passed):
            print(f"logs of {plan.name}: {folder}", flush=True)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return result
