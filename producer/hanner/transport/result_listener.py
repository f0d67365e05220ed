"""Waiting for results: one thread per client that subscribes to Celery's own channels and resolves futures.

A result is never missed. A channel is subscribed, and when Redis has confirmed that, the key is read once: what was
stored before is found there, what is stored later is published to us. Because connections die, awaited keys are also
read again every second, a thousand of them at most, and after every reconnect.
"""

import logging
import selectors
import threading
import time
from collections.abc import Iterable
from concurrent.futures import Future
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from hanner.errors import BrokerUnreachable, HannerError
from hanner.transport.result_parser import Meta, read_meta
from hanner.transport.subscription import CHUNK, Subscription, WakeupPipe, chunks, key
from hanner.utils import fork

log = logging.getLogger("hanner.transport.result_listener")

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 2.0
"""Seconds between attempts to reach a Redis that has gone."""
READ_AGAIN = 1000
"""Awaited keys that are read again in each `reread` seconds at most: it is a safety net, not how results come."""
LINGER = 0.1
"""Seconds without any news after which finished ids are unsubscribed; sooner only together with other things to say."""

Answer = Future[Meta]


class ResultListener:
    """Resolves a future per awaited task id. Threads may share it; it survives reconnects and forks.

    Nothing is opened until the first `expect`.

    Args:
        redis: Opens nothing by itself; the listener takes two connections from its pool.
        where: The broker's address without its password, for messages.
        patience: Seconds after which a Redis that never answered at all fails those who wait.
        reread: Seconds between two readings of all awaited keys; more when there are over READ_AGAIN.
    """

    def __init__(self, redis: Redis, *, where: str, patience: float, reread: float = 1.0) -> None:
        self._redis = redis
        self._where = where
        self._patience = patience
        self._reread = reread
        self._closed = False
        self.generation = 0
        """How often this process has been forked since the listener was made: futures of an older one stay silent."""
        self._fresh()
        fork.register(self)

    def _fresh(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, list[Answer]] = {}
        self._added: set[str] = set()
        self._dropped: set[str] = set()
        self._thread: threading.Thread | None = None
        self._bell: WakeupPipe | None = None
        self._trouble: Exception | None = None

    def reset_after_fork(self) -> None:
        """Start over in a forked child; the parent's connections are left alone."""
        if self._bell is not None:
            self._bell.close()
        self._redis.connection_pool.reset()
        self.generation += 1
        self._fresh()

    @property
    def trouble(self) -> Exception | None:
        """Why Redis cannot be read right now; None when it can."""
        return self._trouble

    @property
    def awaited(self) -> int:
        """How many task ids are waited for."""
        return len(self._waiting)

    def expect(self, task_id: str) -> Answer:
        """Return a future that gets the task's meta once it is done. `forget` it when it is no longer wanted.

        Raises:
            HannerError: the client is closed.
        """
        future: Answer = Future()
        with self._lock:
            if self._closed:
                raise HannerError("this client is closed; make a new one")
            waiting = self._waiting.setdefault(task_id, [])
            waiting.append(future)
            if len(waiting) == 1:
                self._dropped.discard(task_id)
                self._added.add(task_id)
            self._wake()
        return future

    def forget(self, task_id: str, future: Answer) -> None:
        """Stop waiting on behalf of this future; does nothing when it is resolved or unknown."""
        with self._lock:
            waiting = self._waiting.get(task_id, [])
            if future in waiting:
                waiting.remove(future)
                if not waiting:
                    self._drop(task_id)
                    self._wake()

    def close(self) -> None:
        """End the thread; everyone who still waits gets a HannerError."""
        with self._lock:
            self._closed = True
            thread = self._thread
            if self._bell is not None:
                self._bell.ring()
        self._fail(HannerError("the client was closed while this result was awaited; ask again with Client.job(id)"))
        if thread is not None and thread is not threading.current_thread():
            # It is at most one network timeout away from seeing the bell; it is a daemon, nobody need wait longer.
            thread.join(timeout=1.0)

    def _wake(self) -> None:
        """Start the thread, or have it look at what changed; the caller holds the lock."""
        if self._bell is not None and self._thread is not None:
            self._bell.ring()
            return
        self._bell = WakeupPipe()
        self._thread = threading.Thread(target=self._run, args=(self._bell,), name="hanner-results", daemon=True)
        self._thread.start()

    def _run(self, bell: WakeupPipe) -> None:
        try:
            self._keep_listening(bell)
        except Exception as error:  # a thread that dies in silence would leave its callers waiting
            log.exception("the result listener stopped")
            with self._lock:
                self._thread = None
            self._fail(HannerError(f"waiting for results failed: {error!r}; this is a bug, please report it"))
        finally:
            bell.close()

    def _keep_listening(self, bell: WakeupPipe) -> None:
        """Serve on one connection after the other, with growing pauses while Redis is away."""
        began = time.monotonic()
        ever, pause = False, FIRST_PAUSE
        while not self._closed:
            try:
                with Subscription.open(self._redis) as subscription:
                    self._trouble = None
                    ever, pause = True, FIRST_PAUSE
                    self._serve(subscription, bell)
            except (RedisError, OSError) as error:
                if self._closed:
                    return
                log.info("the connection for results is lost, trying again in %.2f s: %s", pause, error)
                self._trouble = error
                if not ever and time.monotonic() - began >= self._patience:
                    self._fail(BrokerUnreachable(f"Redis at {self._where} does not answer: {error}"))
                self._pause(bell, min(pause, self._patience / 4))
                pause = min(pause * 2, LONGEST_PAUSE)

    def _pause(self, bell: WakeupPipe, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self._closed and (left := until - time.monotonic()) > 0:
            bell.wait(left)

    def _serve(self, subscription: Subscription, bell: WakeupPipe) -> None:
        """Subscribe, read, resolve, until closed or the connection fails."""
        with self._lock:
            self._added = set(self._waiting)
            self._dropped.clear()
        reread_at = self._reread_at()
        idle = False
        with selectors.DefaultSelector() as selector:
            selector.register(bell.fileno(), selectors.EVENT_READ)
            selector.register(subscription.fileno(), selectors.EVENT_READ)
            while not self._closed:
                subscription.change(*self._changes(idle=idle))
                self._resolve_all(self._read(self._take(subscription)))
                if self._waiting and time.monotonic() >= reread_at:
                    self._reread_all(subscription)
                    reread_at = self._reread_at()
                idle = not selector.select(self._rest(reread_at))
                bell.silence()

    def _reread_at(self) -> float:
        """Return when all awaited keys are to be read again."""
        return time.monotonic() + reading_interval(self._reread, len(self._waiting))

    def _changes(self, *, idle: bool) -> tuple[set[str], set[str]]:
        """Return what to subscribe now and what to unsubscribe: many at once, for each costs as much as a result."""
        with self._lock:
            added, self._added = self._added, set()
            dropped: set[str] = set()
            if added or idle or len(self._dropped) >= CHUNK:
                dropped, self._dropped = self._dropped, set()
        return added, dropped

    def _rest(self, reread_at: float) -> float | None:
        """Return how many seconds to wait for news; None is for ever."""
        if self._waiting:
            rest = max(0.0, reread_at - time.monotonic())
            return min(rest, LINGER) if self._dropped else rest
        return LINGER if self._dropped else None

    def _take(self, subscription: Subscription) -> set[str]:
        """Resolve what has been announced; return the awaited ids whose subscription was confirmed just now."""
        fresh, announced = subscription.take()
        self._resolve_all(announced)
        return fresh & self._waiting.keys()

    def _read(self, ids: Iterable[str]) -> dict[str, Any]:
        """Read the keys of these ids; return the payloads of those that exist."""
        found = {}
        for chunk in chunks(ids):
            payloads: Any = self._redis.mget([key(task_id) for task_id in chunk])
            found.update({task_id: payload for task_id, payload in zip(chunk, payloads, strict=True) if payload})
        return found

    def _reread_all(self, subscription: Subscription) -> None:
        """Read all awaited keys again, and give up a connection that no longer says what it should."""
        with self._lock:
            awaited = set(self._waiting)
        confirmed = subscription.confirmed & awaited
        found = self._read(awaited)
        self._take(subscription)  # announcements that came meanwhile are no misses
        if self._resolve_all(found) & confirmed:
            raise ConnectionError("results are stored and no longer announced on this connection")
        if subscription.silent_for(awaited) > self._patience:
            raise ConnectionError("subscriptions are no longer confirmed on this connection")

    def _resolve_all(self, payloads: dict[str, Any]) -> set[str]:
        return {task_id for task_id, payload in payloads.items() if self._resolve(task_id, payload)}

    def _resolve(self, task_id: str, payload: Any) -> bool:
        """Give a payload to those who wait for it; False when nobody does or the task is not done."""
        outcome: Meta | HannerError | None
        try:
            outcome = read_meta(payload)
        except HannerError as error:
            outcome = error
        if outcome is None:
            return False
        with self._lock:
            futures = self._waiting.get(task_id, [])
            if futures:
                self._drop(task_id)
        for future in futures:
            _settle(future, outcome)
        return bool(futures)

    def _drop(self, task_id: str) -> None:
        """Forget an id; the caller holds the lock."""
        del self._waiting[task_id]
        self._added.discard(task_id)
        self._dropped.add(task_id)

    def _fail(self, error: HannerError) -> None:
        with self._lock:
            futures = [future for waiting in self._waiting.values() for future in waiting]
            for task_id in list(self._waiting):
                self._drop(task_id)
        for future in futures:
            _settle(future, error)


def reading_interval(reread: float, awaited: int) -> float:
    """Return after how many seconds all of so many awaited keys are read again."""
    return reread * max(1.0, awaited / READ_AGAIN)


def _settle(future: Answer, outcome: Meta | HannerError) -> None:
    if not future.set_running_or_notify_cancel():  # its caller has gone
        return
    if isinstance(outcome, HannerError):
        future.set_exception(type(outcome)(str(outcome)))  # one each: raising marks an exception
    else:
        future.set_result(outcome)
