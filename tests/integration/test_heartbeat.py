"""The thread that renews a worker's lease."""

import threading

import redis

from hanner_worker.delivery.heartbeat import LeaseRenewer
from hanner_worker.delivery.inflight import HeartbeatResult
from support.inflight import make_inflight


class FakeInFlight:
    """Returns or raises the given results, and lets a test wait for heartbeats."""

    worker_id, lease = "me", 0.01

    def __init__(self, *results):
        self._results = list(results)
        self._changed = threading.Condition()
        self.heartbeats = 0

    def heartbeat(self, client, status):
        with self._changed:
            self.heartbeats += 1
            self._changed.notify_all()
        result = self._results.pop(0) if self._results else HeartbeatResult([], 0, 0)
        if isinstance(result, Exception):
            raise result
        return result

    def wait_for(self, count):
        with self._changed:
            assert self._changed.wait_for(lambda: self.heartbeats >= count, 60)


class Client:
    closed = False

    def close(self):
        self.closed = True


def test_errors_do_not_end_the_thread(caplog):
    inflight, client = (
        FakeInFlight(redis.ConnectionError(), redis.ResponseError(), OSError(), RuntimeError("a bug")),
        Client(),
    )
    renewer = LeaseRenewer(inflight, lambda: client, dict)
    renewer.start()
    inflight.wait_for(6)
    assert not client.closed
    renewer.stop()
    assert client.closed
    warnings = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert warnings == ["the lease of me cannot be renewed: ConnectionError"]  # logged once, not every second
    assert "could not be renewed" in caplog.text


def test_expired_workers_and_overdue_requests_are_logged(caplog):
    inflight = FakeInFlight(HeartbeatResult(["other"], 3, 0), HeartbeatResult([], 0, 2, too_old=4, too_many=5))
    renewer = LeaseRenewer(inflight, Client, dict)
    renewer.start()
    inflight.wait_for(3)
    renewer.stop()
    assert "worker lease expired: other; requeued 3 unacknowledged requests" in caplog.text
    assert (
        "deleted 4 dead letters older than HANNER_DEAD_LETTER_TTL, and 5 above HANNER_MAX_DEAD_LETTERS" in caplog.text
    )
    assert "requeued 2 requests that exceeded the visibility timeout" in caplog.text


def test_a_heartbeat_writes_lease_and_status(server):
    inflight = make_inflight(lease=1.0)
    started = threading.Event()

    def get_status():
        started.set()
        return {"host": "h"}

    renewer = LeaseRenewer(inflight, lambda: redis.Redis.from_url(server.url), get_status)
    renewer.start()
    assert started.wait(60)
    renewer.stop()  # after a heartbeat that has begun
    assert server.client.zscore("hanner:hanner:leases", inflight.worker_id) > 0
    assert server.client.hget(inflight.keys.worker(inflight.worker_id), "host") == "h"


def test_every_worker_has_an_id_of_its_own():
    assert len({make_inflight().worker_id for _ in range(10)}) == 10
