"""The heartbeat: a thread of the worker's parent that renews the lease, also while the event loop is busy for seconds.

If the parent is stopped or killed the thread is too, and the lease expires.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

from redis.exceptions import RedisError

from hanner_worker.delivery.inflight import HeartbeatResult, InFlightStore

logger = logging.getLogger(__name__)

HEARTBEATS_PER_LEASE = 5
"""A few heartbeats may fail before the lease expires."""


class LeaseRenewer:
    """Renews the lease, and requeues the messages of workers whose lease has expired, until it is stopped.

    Args:
        inflight: the worker's in-flight messages.
        connect: returns a client of Redis, for the thread alone.
        get_status: returns the worker's status; called on the thread.
        on_heartbeat: receives the result of each heartbeat; called on the thread.
    """

    def __init__(
        self,
        inflight: InFlightStore,
        connect: Callable[[], Any],
        get_status: Callable[[], Mapping[str, Any]],
        on_heartbeat: Callable[[HeartbeatResult], None] | None = None,
    ) -> None:
        self._inflight = inflight
        self._connect = connect
        self._get_status = get_status
        self._on_heartbeat = on_heartbeat
        self._stopped = threading.Event()
        self._failing = False
        self._thread = threading.Thread(target=self._run, name="hanner-heartbeat", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread; the lease stays as it is."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        client = self._connect()
        while True:
            self._renew(client)
            if self._stopped.wait(self._inflight.lease / HEARTBEATS_PER_LEASE):
                client.close()
                return

    def _renew(self, client: Any) -> None:
        worker_id = self._inflight.worker_id
        try:
            result = self._inflight.heartbeat(client, self._get_status())
            if self._on_heartbeat is not None:
                self._on_heartbeat(result)
        except (RedisError, OSError) as error:
            if not self._failing:
                logger.warning("the lease of %s cannot be renewed: %s", worker_id, type(error).__name__)
            self._failing = True
            return
        except Exception:
            # Without a lease other workers do all of this worker's work again, so nothing may end this thread.
            logger.exception("the lease of %s could not be renewed", worker_id)
            return
        self._failing = False
        if result.expired_workers:
            logger.warning(
                "worker lease expired: %s; requeued %d unacknowledged requests",
                ", ".join(result.expired_workers),
                result.requeued,
            )
        if result.too_old or result.too_many:
            logger.warning(
                "deleted %d dead letters older than HANNER_DEAD_LETTER_TTL, and %d above HANNER_MAX_DEAD_LETTERS",
                result.too_old,
                result.too_many,
            )
        if result.overdue:
            logger.warning("requeued %d requests that exceeded the visibility timeout", result.overdue)
