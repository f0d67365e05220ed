"""Keeps a worker's lease: a thread of the parent, which runs as long as the parent does and stands still when it does.

The event loop may be busy for seconds, at a start or a stop; the lease must not lapse by that.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

from redis.exceptions import RedisError

from hanner_worker.delivery.inflight import HeartbeatResult, InFlightStore

logger = logging.getLogger(__name__)

RENEWALS = 5
"""Renewals per lease: a few may fail before it lapses."""


class LeaseRenewer:
    """Renews the lease and takes back what lapsed workers held, until it is stopped.

    Args:
        ledger: the worker's account.
        connect: makes a client of Redis, used by the thread alone.
        about: tells how the worker does; called on the thread.
        noted: is told what each renewal brought, on the thread.
    """

    def __init__(
        self,
        ledger: InFlightStore,
        connect: Callable[[], Any],
        about: Callable[[], Mapping[str, Any]],
        noted: Callable[[HeartbeatResult], None] | None = None,
    ) -> None:
        self._ledger = ledger
        self._connect = connect
        self._about = about
        self._noted = noted
        self._stopped = threading.Event()
        self._failing = False
        self._thread = threading.Thread(target=self._run, name="hanner-keeper", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; the lease stays as it is."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        client = self._connect()
        while True:
            self._renew(client)
            if self._stopped.wait(self._ledger.lease / RENEWALS):
                client.close()
                return

    def _renew(self, client: Any) -> None:
        try:
            renewed = self._ledger.renew(client, self._about())
            if self._noted is not None:
                self._noted(renewed)
        except (RedisError, OSError) as error:
            if not self._failing:
                logger.warning("the lease of %s cannot be renewed: %s", self._ledger.owner, type(error).__name__)
            self._failing = True
            return
        except Exception:
            # Without renewals everything would be done twice, so nothing may end this thread.
            logger.exception("the lease of %s could not be renewed", self._ledger.owner)
            return
        self._failing = False
        if renewed.owners:
            logger.warning(
                "%s did not renew; %d texts of theirs are in the queue again",
                ", ".join(renewed.owners),
                renewed.taken_back,
            )
        if renewed.overdue:
            logger.warning("%d texts were held for too long and went back to the queue", renewed.overdue)
