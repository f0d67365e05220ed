"""One run of a plan: everything that is started for it, and all of it ended."""

import contextlib
import os
import random
import shutil
import signal
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from chaos.audit import audit
from chaos.fleet import Fleet
from chaos.journal import Journal
from chaos.ledger import Ledger
from chaos.observer import Observer
from chaos.producer import Producer
from chaos.recovery import Recovery, held_by

PATIENCE = 120.0


@dataclass
class Row:
    """What the table says of one run."""

    plan: str
    system: str
    seed: int
    faults: int
    audit: object
    recovery: float | None
    seconds: float
    refused: dict
    unmeant: list = field(default_factory=list)
    notes: list = field(default_factory=list)

    @property
    def good(self):
        """Nothing is lost, hung, wrong or told twice, and no process ended that nobody killed."""
        a = self.audit
        whole = a.answered + sum(a.failed.values()) + a.exempt == a.sent
        return whole and not (a.lost or a.hung or a.wrong or a.left or a.twice or self.unmeant)


class Run:
    """What a plan's fault has at hand.

    Attributes:
        redis: the broker; may be killed, frozen and started again.
        fleet: the workers.
        producer: sends texts all the while.
        ledger: what became of them.
        random: seeded; every choice of a fault comes from it.
        recovery: where deaths and outages are noted.
        faults: how many there were.
        scale: by which counts are multiplied; 1 is what docs/reliability.md reports.
        notes: what the row is to say besides.
        unmeant: what processes did that they should not.
    """

    def __init__(self, plan, system, seed, scale, folder):
        self.plan, self.system, self.seed, self.scale, self.folder = plan, system, seed, scale, Path(folder)
        self.random = random.Random(seed)
        self.recovery = Recovery()
        self.faults = 0
        self.notes = []
        self.unmeant = []
        self.ledger = Ledger()
        self.texts = max(200, int(plan.texts * scale))
        self._pause = threading.Event()
        self._ends = contextlib.ExitStack()

    def execute(self):
        """Start all, let the fault do its work, wait until every caller knows, count."""
        began = time.monotonic()
        with self._ends:
            self._start()
            commands = [c for c, n in self.plan.commands.items() for _ in range(max(1, round(n * self.scale)))]
            self.producer = Producer(self.url, self.ledger, self.texts, seed=self.seed, commands=commands)
            with self.producer:
                self.plan.fault(self)
                self.producer.allow(self.texts)
                self._wait_sent()
                self.ledger.wait_all(self.plan.settle)
                counted = audit(self.client, self.ledger, self.observer.announced, self.journal.begun)
                self.unmeant += [f"{worker.name} ended with {worker.status}" for worker in self.fleet.died()]
                if self.producer.failure is not None:
                    raise self.producer.failure
            longest = self.recovery.longest(self.ledger, self.journal.begun)
        seconds = time.monotonic() - began
        return Row(
            self.plan.name,
            self.system.name,
            self.seed,
            self.faults,
            counted,
            longest,
            seconds,
            dict(self.ledger.refused),
            self.unmeant,
            self.notes,
        )

    def _wait_sent(self):
        """Wait until all texts are sent, for as long as there is progress."""
        seen = -1
        while not self.producer.wait_sent(PATIENCE) and seen < (seen := len(self.ledger.entries)):
            pass

    def _start(self):
        enter = self._ends.enter_context
        self.redis = self.plan.redis(self.folder / "redis")
        self._ends.callback(self.redis.close)
        self.redis.start()
        self.url = self.redis.url
        self.journal = enter(Journal(self.folder / "journal"))
        self.observer = enter(Observer(lambda: self.redis.port))
        self.fleet = enter(Fleet(self.system, self.url, self.folder, self.journal, env=self.plan.env))
        for _ in range(self.plan.workers):
            self.fleet.start()
        for worker in list(self.fleet.workers):
            self.fleet.wait_ready(worker)

    @property
    def client(self):
        """A client of the Redis that is the master now."""
        return self.redis.client

    def count(self, number):
        """Return a count of the plan at this run's scale, at least 1."""
        return max(1, round(number * self.scale))

    def pause(self, seconds):
        """Let things go their way for a while."""
        self._pause.wait(seconds)

    def spread(self, count):
        """Yield 0..count-1 at random moments, spread over the texts so that they flow all the time."""
        share = self.texts / count
        for number in range(count):
            self.producer.allow(int((number + 1) * share))
            # When the system stands still, the next fault comes all the same.
            self.ledger.wait_settled(int((number + self.random.random()) * share), 20.0)
            self.pause(self.random.uniform(0, 0.1))
            self.faults += 1
            yield number

    def any_worker(self):
        """Choose one that works; wait until there is one."""
        if not self.journal.wait_for(lambda _: self.fleet.ready(), PATIENCE):
            raise TimeoutError("no worker becomes ready")
        return self.random.choice(self.fleet.ready())

    def kill_parent(self):
        """Kill one worker's parent process, and start another worker."""
        victim = self.any_worker()
        victim.signal(signal.SIGKILL)
        self.died(victim)
        self.fleet.leave(victim)
        self.fleet.start()

    def kill_pool_process(self):
        """Kill one process that infers; its parent starts another."""
        pool = self.any_worker().pool()
        if pool:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.random.choice(pool).pid, signal.SIGKILL)

    def died(self, victim):
        """Note a worker's death, and what it held."""
        self.recovery.died(self.serials(held_by(self.client, victim.pid)))

    def exempt(self, since):
        """Allow to be lost what was accepted after a moment, and to be answered again what was answered after it.

        Returns:
            How many were accepted after it.
        """
        entries = list(self.ledger.entries.values())
        found = [entry for entry in entries if entry.accepted > since]
        for entry in found:
            entry.exempt = True
        for entry in entries:
            entry.rewound = entry.rewound or entry.ended is None or entry.ended > since
        return len(found)

    def wait_for(self, condition, timeout=PATIENCE):
        """Wait until something holds that nobody announces; False when it does not in time."""
        until = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > until:
                return False
            self.pause(0.05)
        return True

    def serials(self, ids):
        """Return the numbers of the texts with these task ids."""
        return {entry.serial for entry in list(self.ledger.open.values()) if entry.task_id in ids}


def execute(plan, system, *, seed, scale=1.0, keep=False):
    """Run one plan against one system; return its row. Its folder stays if it fails, or if `keep`."""
    folder = tempfile.mkdtemp(prefix=f"chaos-{plan.name}-")
    row = None
    try:
        row = Run(plan, system, seed, scale, folder).execute()
    finally:
        if keep or row is None or (system.name == "hanner" and not row.good):
            print(f"logs of {plan.name}: {folder}", flush=True)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return row
