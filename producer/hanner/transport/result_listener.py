"""Receives results: one thread per client that subscribes to channels and resolves futures.

Each process has one channel of its own. Requests whose callers wait name it, and the worker publishes their results
there, those of a batch together. So such a request costs no subscription. The results of other requests, such as those
of another process, are received on Celery's channels, one per task.

A result is never missed. When Redis has confirmed a subscription, the key is read once: results stored before are found
there, results stored later are published to the channel. Because connections break, all keys are also read again every
second, at most a thousand of them, and after every reconnect.
"""

import logging
import selectors
import threading
import time
from collections.abc import Iterable
from concurrent.futures import Future
from typing import Any
from uuid import uuid4

from redis import Redis
from redis.exceptions import RedisError

from hanner.errors import BrokerUnreachable, HannerError
from hanner.queue.keys import KEYS_PER_COMMAND, batched, replies_channel, result_key
from hanner.transport.result_parser import Meta, parse_meta
from hanner.transport.subscription import Subscription, WakeupPipe
from hanner.utils import fork
from hanner.utils.backoff import Backoff

log = logging.getLogger("hanner.transport.result_listener")

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 2.0
"""Seconds between attempts to reconnect."""
REREAD_KEYS = 1000
"""Maximum number of keys that are read again per `reread` seconds: it is a safety net, not the usual way."""
UNSUBSCRIBE_AFTER = 0.1
"""Seconds without any message after which finished ids are unsubscribed; sooner only together with subscriptions."""

ResultFuture = Future[Meta]


class ResultListener:
    """Resolves a future per subscribed task id. Threads may share it; it survives reconnects and forks.

    It opens nothing before the first `subscribe`.

    Args:
        redis: The client's connection pool; the listener takes two connections from it.
        url: The broker's URL without its password, for messages.
        timeout: Seconds after which futures fail if Redis has never answered.
        reread: Seconds between two readings of all keys; more if there are over REREAD_KEYS.
    """

    def __init__(self, redis: Redis, *, url: str, timeout: float, reread: float = 1.0) -> None:
        self._redis = redis
        self._url = url
        self._timeout = timeout
        self._reread = reread
        self._closed = False
        self.fork_count = 0
        """How often this process was forked since the listener was made: futures of earlier counts never resolve."""
        self._reset()
        fork.register(self)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._replies = uuid4().hex
        self._has_replies = False  # received one
        self._lacks_replies = False  # workers do not publish on the own channel
        self._replied: set[str] = set()  # awaited ids whose results are published there
        self._is_parked = False  # the thread waits for a wake-up alone
        self._futures: dict[str, list[ResultFuture]] = {}
        self._added: set[str] = set()
        self._dropped: set[str] = set()
        self._thread: threading.Thread | None = None
        self._pipe: WakeupPipe | None = None
        self._last_error: Exception | None = None

    def reset_after_fork(self) -> None:
        """Start over in a forked child, without closing the parent's connections."""
        if self._pipe is not None:
            self._pipe.close()
        self._redis.connection_pool.reset()
        self.fork_count += 1
        self._reset()

    @property
    def last_error(self) -> Exception | None:
        """Why results cannot be received at the moment; None if they can."""
        return self._last_error

    @property
    def subscribed_count(self) -> int:
        """Number of task ids whose results are awaited."""
        return len(self._futures)

    @property
    def replies(self) -> str | None:
        """Name of this process' own channel, for the messages of requests whose results are awaited.

        None if the workers do not publish there, because they are not hanner's.
        """
        return None if self._lacks_replies else self._replies

    def subscribe(self, task_id: str, *, replied: bool = False) -> ResultFuture:
        """Return a future of the task's meta. Call `unsubscribe` when it is no longer needed.

        Args:
            task_id: The id.
            replied: The request names the own channel, and has not been sent yet.

        Raises:
            HannerError: the client is closed.
        """
        future: ResultFuture = Future()
        with self._lock:
            if self._closed:
                raise HannerError("this client is closed; make a new one")
            futures = self._futures.setdefault(task_id, [])
            futures.append(future)
            if len(futures) > 1:
                return future
            if replied and not self._lacks_replies:
                self._replied.add(task_id)
                if self._thread is None or self._is_parked:
                    self._wake()
            else:
                self._dropped.discard(task_id)
                self._added.add(task_id)
                self._wake()
        return future

    def unsubscribe(self, task_id: str, future: ResultFuture) -> None:
        """Stop waiting for this future; do nothing if it is resolved or unknown."""
        if future.done() and not future.cancelled():
            return
        with self._lock:
            futures = self._futures.get(task_id, [])
            if future in futures:
                futures.remove(future)
                if not futures:
                    self._drop(task_id)
                    self._wake()

    def close(self) -> None:
        """Stop the thread and fail all futures with a HannerError."""
        with self._lock:
            self._closed = True
            thread = self._thread
            if self._pipe is not None:
                self._pipe.wake()
        self._fail_all(HannerError("the client was closed while it waited for this result; use Client.job(id) again"))
        if thread is not None and thread is not threading.current_thread():
            # The thread ends within one network timeout. It is a daemon, so the program may exit before that.
            thread.join(timeout=1.0)

    def _wake(self) -> None:
        """Start the thread, or wake it to process changes; the caller holds the lock."""
        self._is_parked = False
        if self._pipe is not None and self._thread is not None:
            self._pipe.wake()
            return
        self._pipe = WakeupPipe()
        self._thread = threading.Thread(target=self._run, args=(self._pipe,), name="hanner-results", daemon=True)
        self._thread.start()

    def _run(self, pipe: WakeupPipe) -> None:
        try:
            self._run_with_reconnect(pipe)
        except Exception as error:  # otherwise callers would wait for a thread that has ended
            log.exception(
                "the result listener stopped; all waiting calls fail, later calls start it again; report this bug"
            )
            with self._lock:
                self._thread = None
            self._fail_all(HannerError(f"waiting for results failed: {error!r}; this is a bug, please report it"))
        finally:
            pipe.close()

    def _run_with_reconnect(self, pipe: WakeupPipe) -> None:
        """Receive on one connection after another, with backoff while Redis is unreachable."""
        started = time.monotonic()
        ever_connected = False
        backoff = Backoff(FIRST_PAUSE, min(LONGEST_PAUSE, self._timeout / 4))
        while not self._closed:
            try:
                with Subscription.open(self._redis, replies_channel(self._replies)) as subscription:
                    self._last_error = None
                    ever_connected = True
                    backoff.reset()
                    self._receive_until_closed(subscription, pipe)
            except (RedisError, OSError) as error:
                if self._closed:
                    return
                now = time.monotonic()
                pause = backoff.next_pause(now)
                assert pause is not None  # it has no limit
                log.info("the connection for results is lost, reconnecting in %.2f s: %s", pause, error)
                self._last_error = error
                if not ever_connected and now - started >= self._timeout:
                    self._fail_all(BrokerUnreachable(f"Redis at {self._url} does not answer: {error}"))
                self._sleep(pipe, pause)

    def _sleep(self, pipe: WakeupPipe, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self._closed and (left := until - time.monotonic()) > 0:
            pipe.wait(left)

    def _receive_until_closed(self, subscription: Subscription, pipe: WakeupPipe) -> None:
        """Subscribe, read keys and resolve futures, until closed or the connection fails."""
        with self._lock:
            self._added = self._futures.keys() - self._replied
            self._dropped.clear()
        reread_at = self._next_reread()
        idle = False
        with selectors.DefaultSelector() as selector:
            selector.register(pipe.fileno(), selectors.EVENT_READ)
            selector.register(subscription.fileno(), selectors.EVENT_READ)
            while not self._closed:
                subscription.update(*self._changes(idle=idle))
                self._resolve_all(self._read_keys(self._receive(subscription)))
                if self._futures and time.monotonic() >= reread_at:
                    self._reread_all(subscription)
                    reread_at = self._next_reread()
                elif not self._futures:
                    reread_at = self._next_reread()
                idle = not selector.select(self._select_timeout(reread_at, idle=idle))
                pipe.drain()

    def _next_reread(self) -> float:
        """Return when to read all keys again."""
        return time.monotonic() + reread_interval(self._reread, len(self._futures))

    def _changes(self, *, idle: bool) -> tuple[set[str], set[str]]:
        """Return ids to subscribe now, and ids to unsubscribe: many at once, as each costs as much as a result."""
        with self._lock:
            added, self._added = self._added, set()
            dropped: set[str] = set()
            if added or idle or len(self._dropped) >= KEYS_PER_COMMAND:
                dropped, self._dropped = self._dropped, set()
        return added, dropped

    def _select_timeout(self, reread_at: float, *, idle: bool) -> float | None:
        """Return the maximum seconds to wait for messages; None is no limit.

        None is returned only if nothing was awaited for a while. So a caller that awaits a reply rarely has to wake the
        thread.
        """
        with self._lock:
            if self._futures or not idle:
                seconds = max(0.0, reread_at - time.monotonic())
                return min(seconds, UNSUBSCRIBE_AFTER) if self._dropped else seconds
            self._is_parked = not self._dropped
            return UNSUBSCRIBE_AFTER if self._dropped else None

    def _receive(self, subscription: Subscription) -> set[str]:
        """Resolve published results; return the awaited ids whose subscription was just confirmed."""
        was_ready = subscription.is_ready
        received = subscription.receive()
        self._resolve_all(received.payloads)
        if received.replies:
            self._has_replies = True
            self._resolve_replies(received.replies)
        with self._lock:
            became_ready = self._replied if subscription.is_ready and not was_ready else set()
            return (received.confirmed | became_ready) & self._futures.keys()

    def _read_keys(self, ids: Iterable[str]) -> dict[str, Any]:
        """Return the stored payloads of these ids; ids without one are left out."""
        found = {}
        for batch in batched(ids):
            payloads: Any = self._redis.mget([result_key(task_id) for task_id in batch])
            found.update({task_id: payload for task_id, payload in zip(batch, payloads, strict=True) if payload})
        return found

    def _reread_all(self, subscription: Subscription) -> None:
        """Read all keys again.

        Raises:
            ConnectionError: the connection does not deliver results or confirmations.
        """
        with self._lock:
            ids = set(self._futures)
            replied = self._replied & ids if subscription.is_ready else set()
        confirmed = subscription.confirmed & ids
        found = self._read_keys(ids)
        self._receive(subscription)  # results published meanwhile were not missed
        resolved = self._resolve_all(found)
        # Requests that another client has revoked have no reply.
        missed = {task_id for task_id in replied & resolved.keys() if not _is_revoked(resolved[task_id])}
        if missed and not self._has_replies:
            log.info("workers publish no replies; results are received on the channels of their tasks")
            with self._lock:
                self._lacks_replies = True
                self._replied.clear()
        if missed or confirmed & resolved.keys():
            raise ConnectionError("results are stored but no longer published on this connection")
        if subscription.unconfirmed_for(ids) > self._timeout:
            raise ConnectionError("subscriptions are no longer confirmed on this connection")

    def _resolve_all(self, payloads: dict[str, Any]) -> dict[str, Meta | HannerError]:
        """Resolve the futures of tasks that are done; return their results, without those that nothing waits for."""
        results: dict[str, Meta | HannerError] = {}
        for task_id, payload in payloads.items():
            try:
                meta = parse_meta(payload)
            except HannerError as error:
                results[task_id] = error
            else:
                if meta is not None:
                    results[task_id] = meta
        return self._resolve(results)

    def _resolve_replies(self, replies: Iterable[bytes]) -> None:
        results: dict[str, Meta | HannerError] = {}
        for payload in replies:
            try:
                meta = parse_meta(payload)
            except HannerError as error:
                log.warning("received something that is not a result: %s", error)
                continue
            if meta is not None:
                results[str(meta.get("task_id"))] = meta
        self._resolve(results)

    def _resolve(self, results: dict[str, Meta | HannerError]) -> dict[str, Meta | HannerError]:
        """Resolve futures; return the results without those that nothing waits for."""
        futures: dict[str, list[ResultFuture]] = {}
        with self._lock:
            for task_id in results:
                if task_id in self._futures:
                    futures[task_id] = self._futures[task_id]
                    self._drop(task_id)
        for task_id, waiting in futures.items():
            for future in waiting:
                _set_result(future, results[task_id])
        return {task_id: results[task_id] for task_id in futures}

    def _drop(self, task_id: str) -> None:
        """Remove an id; the caller holds the lock."""
        del self._futures[task_id]
        if task_id in self._replied:
            self._replied.discard(task_id)
        else:
            self._added.discard(task_id)
            self._dropped.add(task_id)

    def _fail_all(self, error: HannerError) -> None:
        with self._lock:
            futures = [future for each in self._futures.values() for future in each]
            for task_id in list(self._futures):
                self._drop(task_id)
        for future in futures:
            _set_result(future, error)


def reread_interval(reread: float, count: int) -> float:
    """Return the seconds between two readings of all keys, if there are `count` of them."""
    return reread * max(1.0, count / REREAD_KEYS)


def _is_revoked(result: Meta | HannerError) -> bool:
    return not isinstance(result, HannerError) and result.get("status") == "REVOKED"


def _set_result(future: ResultFuture, result: Meta | HannerError) -> None:
    if not future.set_running_or_notify_cancel():  # cancelled by its caller
        return
    if isinstance(result, HannerError):
        future.set_exception(type(result)(str(result)))  # a copy each, because raising adds a traceback to it
    else:
        future.set_result(result)
