"""A channel of kombu's to Redis whose messages are never only in the worker's memory. Touches kombu's internals.

kombu pops a message and then notes it as unacknowledged; a kill in between loses it. Here the blocking call is
`BLMOVE q q RIGHT RIGHT`: it waits, wakes, and takes nothing away. Sent right behind it is one Lua step that moves many
messages at once from the queue to what this worker holds. Acknowledgements gather and leave in one step per turn of
the event loop. What lies in the queue is what kombu puts there, so any Celery client may send.

Interactive lists go before bulk ones. Only one list can be waited on in that way, so a second connection waits on the
bulk list and wakes the first (waker.py).

Queues consumed without acknowledgement (replies of remote control) go kombu's own way.
"""

import logging
from collections.abc import Iterator
from contextlib import suppress
from queue import Empty
from time import monotonic
from typing import Any

from kombu.transport import redis as kombu_redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, ReadOnlyError, RedisError, ResponseError

from hanner.utils.json import loads
from hanner_worker.delivery.inflight import MAX_FETCH, FetchRequest, FetchResult, InFlightStore, list_of
from hanner_worker.delivery.qos import DEATHS, ReliableQoS
from hanner_worker.delivery.scripts import TAKE
from hanner_worker.delivery.waker import WAKE, Waker

logger = logging.getLogger(__name__)

LEDGER = "hanner_ledger"
"""The transport option that carries the worker's InFlightStore."""
PAUSE = 1.0
"""Seconds until Redis is asked again after it refused: its disk may be full, or it may be a replica."""
LOOK = 0.05
"""Seconds between looks at the queue while no process is idle."""


class ReliableChannel(kombu_redis.Channel):  # type: ignore[misc]
    """A channel whose messages are held by the worker from the moment they leave the queue."""

    QoS = ReliableQoS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._acked: set[str] = set()  # queues that are consumed with acknowledgement
        self._polling = False  # the pending command is ours, and ends with TAKE
        self._blocking = False  # it begins with BLMOVE
        self._full = False  # the last step took all it could of one kind, so there may be more
        self._wait_on: str | None = None  # the list that gave the last message
        self._not_before = self._next_look = 0.0
        self._identified: Any = None  # the socket whose client's id is known
        self._client_id = 0
        self._pooled: Any = None
        super().__init__(*args, **kwargs)
        self.ledger: InFlightStore = self.connection.client.transport_options[LEDGER]
        self.waker = Waker(self)
        self.handlers[WAKE] = self.waker.on_readable

    def _create_client(self, asynchronous: bool = False) -> Any:  # noqa: FBT001, FBT002 - kombu's signature
        """Return a client; the one of the pool is kept, for making it takes longer than what it is asked for."""
        if asynchronous:
            return super()._create_client(asynchronous)
        if self._pooled is None or self._pooled.connection_pool is not self.pool:
            self._pooled = super()._create_client()
        return self._pooled

    def basic_consume(self, queue: str, no_ack: bool, *args: Any, **kwargs: Any) -> Any:  # noqa: FBT001 - kombu's
        """Consume from a queue; one without acknowledgement goes kombu's own way."""
        if not no_ack:
            self._acked.add(queue)
        return super().basic_consume(queue, no_ack, *args, **kwargs)

    def _basic_cancel(self, consumer_tag: str) -> None:
        super()._basic_cancel(consumer_tag)
        if self._polling and not self._acked.intersection(self.active_queues):
            self._stop_polling()

    def _stop_polling(self) -> None:
        """End the pending poll now, so that it takes nothing of what goes back to the queue; what it took is held."""
        with suppress(RedisError, OSError):
            if self._blocking:
                with self.conn_or_acquire() as client:
                    client.client_unblock(self._client_id)
            self._read_taken()
        self._in_poll, self._polling = None, False

    def flush(self) -> None:
        """Tell Redis what was acknowledged since the last time, unless it has just refused."""
        if self._qos is None or monotonic() < self._not_before:
            return
        try:
            self._qos.flush()
        except ResponseError as error:
            self._refused(error)

    def _wants(self, *, idle: bool) -> list[FetchRequest]:
        """Return what there is room for, in the order in which it is to be taken."""
        queues = self._queue_cycle.consume(len(self.active_queues))
        wants = []
        for bulk, room in zip((False, True), self.qos.rooms(), strict=True):
            ours = [queue for queue in queues if self.ledger.keys.is_bulk(queue) is bulk]
            lists = [self._q_for_pri(queue, step) for step in self.priority_steps for queue in ours]
            if lists and room != 0:
                # Who works on bulk is never idle while there is more, and takes the last interactive one all the same.
                last = idle or (not bulk and self.qos.holds_bulk)
                wants.append(FetchRequest(lists, MAX_FETCH if room is None else min(room, MAX_FETCH), last))
        return wants

    def _brpop_start(self, timeout: float | None = None) -> None:
        if not self._acked.intersection(self.active_queues):
            super()._brpop_start(timeout)
            return
        idle, now = self.qos.idle(), monotonic()
        if now < self._not_before or (now < self._next_look and not idle and not self.qos.eager):
            return
        wants = self._wants(idle=idle)
        if not wants:
            return
        self._next_look, self.qos.eager = now + LOOK, False
        connection = self.client.connection
        if self._identified is not connection._sock:  # noqa: SLF001 - a new one since the last time
            connection.send_command("CLIENT", "ID")
            self._client_id = self.client.parse_response(connection, "CLIENT ID")
            self._identified = connection._sock  # noqa: SLF001
        keys, args = self.ledger.take_command(*wants)
        self._pending = wants, keys, args
        commands = [("EVALSHA", TAKE.sha, len(keys), *keys, *args)]
        self._blocking = idle and not self._full
        if self._blocking:
            first = wants[0].lists
            wait_on = self._wait_on if self._wait_on in first else first[0]
            commands.insert(0, ("BLMOVE", wait_on, wait_on, "RIGHT", "RIGHT", timeout or self.brpop_timeout))
            self.waker.list = wants[1].lists[0] if len(wants) > 1 else None
        self._polling, self._in_poll, self._brpop_sent_at = True, connection, now
        connection.send_packed_command(connection.pack_commands(commands))

    @property
    def blocked(self) -> int | None:
        """The id at Redis' of the connection that waits for a message now, if it does."""
        return self._client_id if self._polling and self._blocking else None

    def _brpop_read(self, **options: Any) -> bool:
        if not self._polling:
            return bool(super()._brpop_read(**options))
        try:
            taken = self._read_taken(**options)
        except ResponseError as error:
            self._refused(error)
            raise Empty from error
        except self.connection_errors:
            # Disconnected, so that the next turn connects anew.
            self.client.connection.disconnect()
            raise
        finally:
            self._in_poll, self._polling = None, False
            self._flush_brpop_reauth()
        if not taken.messages:
            raise Empty
        self._wait_on = list_of(taken.messages[-1][0])
        self._deliver_all(taken)
        return True

    def _read_taken(self, **options: Any) -> FetchResult:
        client, refusal = self.client, None
        if self._blocking:
            try:
                client.parse_response(client.connection, "BLMOVE", **options)
            except ResponseError as error:
                refusal = error  # the reply of the other command is still to be read
        wants, keys, args = self._pending
        try:
            reply = client.parse_response(client.connection, "EVALSHA", **options)
        except NoScriptError:
            client.connection.send_command("EVAL", TAKE.source, len(keys), *keys, *args)
            reply = client.parse_response(client.connection, "EVAL", **options)
        taken = InFlightStore.taken(reply)
        bulk = sum(self.ledger.is_bulk(tag) for tag, _ in taken.messages)
        counts = {True: bulk, False: len(taken.messages) - bulk}
        self._full = any(counts[self.ledger.keys.is_bulk(want.lists[0])] == want.most for want in wants)
        if refusal is not None and not taken.messages:
            raise refusal
        return taken

    def _refused(self, error: ResponseError) -> None:
        """Wait a moment after Redis refused; a replica is left, for the master may be elsewhere."""
        if monotonic() >= self._not_before:
            # Only the first word, which names the kind: the rest may quote a message.
            logger.warning("Redis refuses (%s); asking again in %.0f s", type(error).__name__, PAUSE)
        self._not_before, self._full = monotonic() + PAUSE, False
        if isinstance(error, ReadOnlyError):
            raise RedisConnectionError("Redis is a replica now") from error

    def _deliver_all(self, taken: FetchResult) -> None:
        decoded = list(self._decoded(taken))
        if taken.deaths:
            self._mark_deaths([raw for _, raw, _ in decoded])
        for tag, raw, queue in decoded:
            callback = self.connection._callbacks.get(queue)  # noqa: SLF001 - kombu's way to a consumer
            if callback is None:  # cancelled meanwhile
                self.qos.reject(tag, requeue=True)
                continue
            try:
                callback(raw)
            except (RedisError, OSError):
                raise
            except Exception as error:  # noqa: BLE001 - no message may stop the worker
                self._discard(tag, error)

    def _decoded(self, taken: FetchResult) -> Iterator[tuple[str, Any, str]]:
        """Yield tag, message and queue of what can be read; what cannot is discarded."""
        for tag, raw in taken.messages:
            try:
                message = loads(raw)
                properties = message["properties"]
                properties["delivery_tag"] = tag  # the sender's says nothing about who holds it
                properties.pop(DEATHS, None)
                if not isinstance(message["body"], str) or not isinstance(message["headers"], dict):
                    raise TypeError("body must be a string, and headers an object")  # noqa: TRY301
            except Exception as error:  # noqa: BLE001 - no message may stop the worker
                self._discard(tag, error)
            else:
                yield tag, message, list_of(tag).rsplit(self.sep, 1)[0]

    def _mark_deaths(self, messages: list[Any]) -> None:
        with self.conn_or_acquire() as client:
            deaths = self.ledger.deaths_of(client, [str(message["headers"].get("id")) for message in messages])
        for message, count in zip(messages, deaths, strict=True):
            message["properties"][DEATHS] = count

    def _discard(self, tag: str, error: Exception) -> None:
        # The error's message may quote the text, so only its type is logged.
        logger.error("a message that cannot be read was discarded: %s", type(error).__name__)
        self.qos.ack(tag)

    def close(self) -> None:
        """Close the channel. A pending poll is cut off: what it may yet take is not wanted any more."""
        if self._polling:
            self._polling = False
            with suppress(RedisError, OSError):
                self.client.connection.disconnect()
            self._in_poll = None
        self.waker.close()
        super().close()

    def _poll_error(self, type: str, **options: Any) -> None:  # noqa: A002 - kombu's name
        if type == WAKE:
            self.waker.on_readable()
        else:
            super()._poll_error(type, **options)


class ReliableSentinelChannel(ReliableChannel, kombu_redis.SentinelChannel):  # type: ignore[misc]
    """The same, of a master that sentinels name."""
