"""The thread that keeps a worker's lease."""

import threading

import redis

from hanner_worker.delivery.heartbeat import LeaseRenewer
from hanner_worker.delivery.inflight import HeartbeatResult
from support.ledgers import make_ledger


class Ledger:
    """Renews nothing; says what it is told to, and lets a test wait for renewals."""

    owner, lease = "me", 0.01

    def __init__(self, *answers):
        self._answers = list(answers)
        self._changed = threading.Condition()
        self.renewals = 0

    def renew(self, client, about):
        with self._changed:
            self.renewals += 1
            self._changed.notify_all()
        answer = self._answers.pop(0) if self._answers else HeartbeatResult([], 0, 0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def wait_for(self, count):
        with self._changed:
            assert self._changed.wait_for(lambda: self.renewals >= count, 10)


class Client:
    closed = False

    def close(self):
        self.closed = True


def test_nothing_ends_the_thread_but_who_started_it(caplog):
    ledger, client = Ledger(redis.ConnectionError(), redis.ResponseError(), OSError(), RuntimeError("a bug")), Client()
    keeper = LeaseRenewer(ledger, lambda: client, dict)
    keeper.start()
    ledger.wait_for(6)
    assert not client.closed
    keeper.stop()
    assert client.closed
    warnings = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert warnings == ["the lease of me cannot be renewed: ConnectionError"]  # said once, not every second
    assert "could not be renewed" in caplog.text


def test_it_tells_what_was_taken_back(caplog):
    ledger = Ledger(HeartbeatResult(["other"], 3, 0), HeartbeatResult([], 0, 2))
    keeper = LeaseRenewer(ledger, Client, dict)
    keeper.start()
    ledger.wait_for(3)
    keeper.stop()
    assert "other did not renew; 3 texts of theirs are in the queue again" in caplog.text
    assert "2 texts were held for too long" in caplog.text


def test_the_lease_is_there_and_says_how_the_worker_does(server):
    ledger = make_ledger(lease=1.0)
    started = threading.Event()

    def about():
        started.set()
        return {"host": "h"}

    keeper = LeaseRenewer(ledger, lambda: redis.Redis.from_url(server.url), about)
    keeper.start()
    assert started.wait(10)
    keeper.stop()  # after a renewal that has begun
    assert server.client.zscore("hanner:hanner:leases", ledger.owner) > 0
    assert server.client.hget(ledger.keys.worker(ledger.owner), "host") == "h"


def test_every_worker_is_an_owner_of_its_own():
    assert len({make_ledger().owner for _ in range(10)}) == 10
