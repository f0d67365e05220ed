"""kombu's Redis transport with channels whose messages are never in the worker's memory only. Overrides its internals.

kombu pops a message and then records it as unacknowledged; a kill in between loses it. Here the blocking command is
`BLMOVE list list RIGHT RIGHT`: it waits and wakes, and removes nothing. Its reply, a message of any size, is skipped
with `CLIENT REPLY SKIP`. Pipelined behind it is one Lua script, which moves many messages at once from the queue to the
worker's unacknowledged messages. Acknowledgements are collected and sent in one script per turn of the event loop. The
messages in the queue are kombu's own, so any Celery client may send them.

Redis blocks one connection on several lists only if it removes the element, so a channel waits on an interactive list.
A second connection waits on the bulk list, and ends the first one's wait when something arrives there. Without it a
single bulk message would wait for up to a second.

Queues that are consumed without acknowledgement (replies of remote control) use kombu's own commands.
"""

import logging
from binascii import a2b_base64
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import cached_property
from queue import Empty
from time import monotonic
from typing import Any

from amqp.exceptions import RecoverableConnectionError  # type: ignore[import-untyped]
from kombu.exceptions import OperationalError
from kombu.transport import TRANSPORT_ALIASES, _transport_cache, virtual
from kombu.transport import redis as kombu_redis
from kombu.transport.redis import _socket_readable as is_readable
from kombu.utils import json as kombu_json
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import DataError, NoPermissionError, NoScriptError, ReadOnlyError, RedisError, ResponseError

from hanner.utils.json import dumps
from hanner_worker.delivery.decoding import decode
from hanner_worker.delivery.inflight import (
    MAX_FETCH,
    FetchRequest,
    FetchResult,
    InFlightStore,
    list_of,
    number_of,
)
from hanner_worker.delivery.qos import CRASHES, ReliableQoS
from hanner_worker.delivery.scripts import COUNT, FETCH

logger = logging.getLogger(__name__)

INFLIGHT_OPTION = "hanner_inflight"
"""The transport option that carries the worker's InFlightStore."""
REFUSAL_PAUSE = 1.0
"""Seconds without a poll after Redis refused one: its disk may be full, or it may be a replica."""
POLL_INTERVAL = 0.05
"""Seconds between polls while no process is idle."""
MIN_WAIT = 0.001
"""Seconds to wait for a message at least: for Redis, 0 is without limit."""
OVERDUE = 1.0
"""Seconds after the end of a wait for a message at which its reply is overdue."""
SKIP_REPLY = ("CLIENT", "REPLY", "SKIP")
"""The command that suppresses the reply of the next one."""
BULK = "BULK"
"""Kind of the second connection, where kombu has BRPOP and LISTEN."""


_collected: ContextVar[list[tuple[str, str]] | None] = ContextVar("hanner_collected_messages", default=None)


@contextmanager
def collect_messages(into: list[tuple[str, str]]) -> Iterator[None]:
    """Collect the messages that are published in this context instead of sending them: list of Redis and raw message.

    The queues are still declared. Messages to fanout exchanges and to queues that expire are sent at once, because they
    are more than one element of one list.

    Raises:
        ValueError: a message would be refused each time, as with an unknown compression.
    """
    token = _collected.set(into)
    try:
        yield
    except (RedisError, OperationalError) as error:
        cause = error.__cause__ if isinstance(error, OperationalError) else error
        is_refused = isinstance(cause, DataError) or "WRONGTYPE" in str(cause)
        if is_refused or not isinstance(cause, RedisError | OSError | RecoverableConnectionError):
            raise ValueError("a message would be refused each time") from error
        raise
    finally:
        _collected.reset(token)


class Message(virtual.Message):
    """kombu's message, made in half of the time if it is not compressed; `decode` has decompressed those of queues."""

    def __init__(self, payload: dict[str, Any], channel: Any = None, **options: Any) -> None:
        headers, properties, body = payload.get("headers") or {}, payload["properties"], payload.get("body")
        if options or headers.get("compression"):
            super().__init__(payload, channel=channel, **options)  # type: ignore[no-untyped-call]
            return
        self.errors: list[Any] = []
        self.channel = channel
        self.delivery_tag = properties["delivery_tag"]
        self.content_type = payload.get("content-type")
        self.content_encoding = payload.get("content-encoding")
        self.delivery_info = properties.get("delivery_info") or {}
        self.headers = headers
        self.properties = properties
        self._decoded_cache = self._raw = self.accept = None
        self._state = "RECEIVED"
        if body and properties.get("body_encoding") == "base64":
            body = a2b_base64(body.encode())
        elif body:
            body = channel.decode_body(body, properties.get("body_encoding"))
        self.body = body.encode() if isinstance(body, str) else body


class PollState(Enum):
    """The state of the channel's own connection."""

    IDLE = auto()
    """No reply is pending."""
    FETCHING = auto()
    """FETCH was sent, and is answered at once."""
    WAITING = auto()
    """BLMOVE and FETCH were sent; they are answered when a message arrives, or after a second."""


@dataclass(slots=True)
class Poll:
    """The polls of a channel: the pending one, and the conditions of the next one.

    Attributes:
        state: what the connection does.
        requests: the fetches of the pending poll.
        keys: keys of the pending FETCH.
        args: arguments of the pending FETCH.
        may_have_more: nothing was fetched yet, or the last fetch moved as many messages of one kind as it requested, or
            one alone.
        next_alone: whether the next fetch is for one message alone, and of which kind: True is bulk.
        last_list: the list of the last message.
        refused_until: when Redis may be polled again after it refused.
        next_at: when to poll again while no process is idle.
        overdue_at: when the reply of the pending poll is overdue.
        is_overdue: it was overdue, and Redis has executed another command since.
        next_due: when the next scheduled message may start, by Redis' clock; None if none is known.
        client_id: Redis' id of the connection.
        skips_replies: the Redis user is permitted to run CLIENT REPLY.
        socket: the socket for which `client_id` and `skips_replies` hold.
    """

    state: PollState = PollState.IDLE
    requests: Sequence[FetchRequest] = ()
    keys: list[str] = field(default_factory=list)
    args: list[Any] = field(default_factory=list)
    may_have_more: bool = True
    next_alone: bool | None = None
    last_list: str | None = None
    refused_until: float = 0.0
    next_at: float = 0.0
    overdue_at: float = 0.0
    is_overdue: bool = False
    next_due: float | None = None
    client_id: int = 0
    skips_replies: bool = True
    socket: Any = None


class ReliableChannel(kombu_redis.Channel):  # type: ignore[misc]
    """A channel that moves messages from the queue to the in-flight store, and never holds the only copy of one.

    Attributes:
        fanout_receivers: how many clients received the last message to a fanout exchange; None before the first one.
    """

    QoS, Message = ReliableQoS, Message
    fanout_receivers: int | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._acked_queues: set[str] = set()  # consumed with acknowledgement
        self._polling = Poll()
        self._pooled_client: Any = None
        super().__init__(*args, **kwargs)
        self.inflight: InFlightStore = self.connection.client.transport_options[INFLIGHT_OPTION]
        self.bulk_waiter = BulkWaiter(self)
        self.handlers[BULK] = self.bulk_waiter.on_readable

    def _create_client(self, asynchronous: bool = False) -> Any:  # noqa: FBT001, FBT002 - kombu's signature
        """Return a Redis client.

        The client of the connection pool is reused, because creating one takes longer than a command.
        """
        if asynchronous:
            return super()._create_client(asynchronous)
        if self._pooled_client is None or self._pooled_client.connection_pool is not self.pool:
            self._pooled_client = super()._create_client()
        return self._pooled_client

    def _put(self, queue: str, message: dict[str, Any], **kwargs: Any) -> None:
        """Send a message to a queue, or collect it; see `collect_messages`."""
        collected = _collected.get()
        if collected is None or queue in self._expires:
            super()._put(queue, message, **kwargs)
        else:
            priority = self._get_message_priority(message, reverse=False)
            collected.append((self._q_for_pri(queue, priority), kombu_json.dumps(message)))  # type: ignore[no-untyped-call]

    def _put_fanout(self, exchange: str, message: dict[str, Any], routing_key: str, **kwargs: Any) -> None:
        """Publish a message, and set `fanout_receivers`."""
        if kwargs.get("_publish_batch") is not None:
            super()._put_fanout(exchange, message, routing_key, **kwargs)
            return
        payload = dumps(message)
        topics = self._get_publish_topics(exchange, routing_key)
        with self.conn_or_acquire() as client:
            self.fanout_receivers = sum(client.publish(topic, payload) for topic in topics)

    def basic_consume(self, queue: str, no_ack: bool, *args: Any, **kwargs: Any) -> Any:  # noqa: FBT001 - kombu's
        """Consume from a queue; one without acknowledgement is left to kombu."""
        if not no_ack:
            self._acked_queues.add(queue)
        return super().basic_consume(queue, no_ack, *args, **kwargs)

    def basic_get(self, queue: str, no_ack: bool = False, **kwargs: Any) -> Any:  # noqa: FBT001, FBT002 - kombu's
        """Return one message of a queue, which is in flight until it is acknowledged; None if the queue is empty."""
        self.qos.flush()  # so that requeued messages are in the queue again
        if no_ack:
            return super().basic_get(queue, no_ack=True, **kwargs)
        request = FetchRequest([self._q_for_pri(queue, step) for step in self.priority_steps], 1)
        keys, args = self.inflight.fetch_command(request)
        with self.conn_or_acquire() as client:
            fetched = InFlightStore.parse_fetch(FETCH(keys, args, client))
        for tag, payload, _ in self._decode_all(fetched):
            message = self.Message(payload, channel=self)
            self.qos.append(message, tag)
            return message
        return None

    def _basic_cancel(self, consumer_tag: str) -> None:
        super()._basic_cancel(consumer_tag)
        if self._polling.state is not PollState.IDLE and not self._acked_queues.intersection(self.active_queues):
            self._stop_polling()

    def _stop_polling(self) -> None:
        """End the pending poll now, so that it fetches none of the requeued messages. Fetched ones stay in flight."""
        with suppress(RedisError, OSError):
            if self._polling.state is PollState.WAITING:
                with self.conn_or_acquire() as client:
                    client.client_unblock(self._polling.client_id)
            self._read_fetch()
        self._in_poll, self._polling.state = None, PollState.IDLE

    def flush(self) -> None:
        """Send acknowledgements to Redis, unless it has just refused."""
        if self._qos is None or monotonic() < self._polling.refused_until:
            return
        try:
            self._qos.flush()
        except ResponseError as error:
            self._on_refusal(error)

    def _fetch_requests(self, *, idle: bool) -> list[FetchRequest]:
        """Return one fetch for each kind of message that there is room for, interactive messages first."""
        queues = self._queue_cycle.consume(len(self.active_queues))
        requests = []
        for bulk, (room, max_bytes) in zip((False, True), self.qos.free_slots(), strict=True):
            of_kind = [queue for queue in queues if self.inflight.keys.is_bulk(queue) is bulk]
            lists = [self._q_for_pri(queue, step) for step in self.priority_steps for queue in of_kind]
            if lists and room != 0 and self._polling.next_alone in {None, bulk}:
                # If bulk work keeps all workers busy, no idle worker would fetch the last interactive message.
                round_up = idle or (not bulk and self.qos.has_bulk)
                count = MAX_FETCH if room is None else min(room, MAX_FETCH)
                requests.append(FetchRequest(lists, count, round_up, max_bytes))
        self._polling.next_alone = None
        return requests

    def _brpop_start(self, timeout: float | None = None) -> None:
        if not self._acked_queues.intersection(self.active_queues):
            super()._brpop_start(timeout)
            return
        poll, idle, now = self._polling, self.qos.has_idle_process(), monotonic()
        if now < poll.refused_until or (now < poll.next_at and not idle and not self.qos.poll_soon):
            return
        requests = self._fetch_requests(idle=idle)
        if not requests:
            return
        poll.next_at, self.qos.poll_soon = now + POLL_INTERVAL, False
        connection = self.client.connection
        if poll.socket is not connection._sock:  # noqa: SLF001 - another one since the last poll
            self._introduce(connection)
        poll.requests = requests
        poll.keys, poll.args = self.inflight.fetch_command(*requests)
        commands: list[tuple[Any, ...]] = [("EVALSHA", FETCH.sha, len(poll.keys), *poll.keys, *poll.args)]
        if idle and not poll.may_have_more:
            first = requests[0].lists
            wait_on = poll.last_list if poll.last_list in first else first[0]
            seconds = self._wait_seconds(timeout)
            commands.insert(0, ("BLMOVE", wait_on, wait_on, "RIGHT", "RIGHT", seconds))
            if poll.skips_replies:
                commands.insert(0, SKIP_REPLY)
            self.bulk_waiter.list = requests[1].lists[0] if len(requests) > 1 else None
            poll.state, poll.overdue_at, poll.is_overdue = PollState.WAITING, now + seconds + OVERDUE, False
        else:
            poll.state = PollState.FETCHING
        self._in_poll, self._brpop_sent_at = connection, now
        connection.send_packed_command(connection.pack_commands(commands))

    def _wait_seconds(self, timeout: float | None) -> float:
        """Return for how long to wait for a message: until the next scheduled one, or the timeout."""
        seconds = timeout or self.brpop_timeout
        if self._polling.next_due is None:
            return float(seconds)
        return min(seconds, max(MIN_WAIT, self._polling.next_due - self.inflight.clock.now()))

    def check_wait(self) -> None:
        """Check that Redis has not ended the wait for a message without a reply, as when it becomes a replica.

        Redis then replies to BLMOVE with an error and closes the connection after the reply; but the reply is skipped.

        Raises:
            RedisConnectionError: the connection is useless.
        """
        poll, now = self._polling, monotonic()
        if poll.state is not PollState.WAITING or now < poll.overdue_at or is_readable(self.client.connection._sock):  # noqa: SLF001
            return
        if poll.is_overdue:
            raise RedisConnectionError("Redis ended the wait for a message without a reply")
        with self.conn_or_acquire() as client:
            client.ping()  # a slow Redis is not a reason to connect again
        poll.is_overdue, poll.overdue_at = True, monotonic() + OVERDUE

    def poll_at(self, due: float) -> None:
        """Poll again at `due`, by Redis' clock in Unix seconds, because a message was scheduled for then."""
        self._polling.next_due = min(due, self._polling.next_due or due)

    def _introduce(self, connection: Any) -> None:
        """Read a new connection's id, and whether the Redis user may skip replies."""
        poll = self._polling
        connection.send_packed_command(connection.pack_commands([("CLIENT", "ID"), ("CLIENT", "REPLY", "ON")]))
        poll.client_id = self.client.parse_response(connection, "CLIENT ID")
        try:
            self.client.parse_response(connection, "CLIENT REPLY")
            poll.skips_replies = True
        except NoPermissionError:
            poll.skips_replies = False
        poll.socket = connection._sock  # noqa: SLF001

    @property
    def skips_replies(self) -> bool:
        """Whether the Redis user is permitted to run CLIENT REPLY."""
        return self._polling.skips_replies

    @property
    def blocked_client_id(self) -> int | None:
        """Redis' id of the connection that waits for a message, if it waits; else None."""
        return self._polling.client_id if self._polling.state is PollState.WAITING else None

    def _brpop_read(self, **options: Any) -> bool:
        if self._polling.state is PollState.IDLE:
            return bool(super()._brpop_read(**options))
        try:
            fetched = self._read_fetch(**options)
        except ResponseError as error:
            self._on_refusal(error)
            raise Empty from error
        except self.connection_errors:
            self.client.connection.disconnect()  # the next turn connects again
            raise
        finally:
            self._in_poll, self._polling.state = None, PollState.IDLE
            self._flush_brpop_reauth()
        if not fetched.messages:
            raise Empty
        self._polling.last_list = list_of(fetched.messages[-1][0])
        self._deliver_all(fetched)
        return True

    def _read_fetch(self, **options: Any) -> FetchResult:
        poll, client, refusal = self._polling, self.client, None
        if poll.state is PollState.WAITING and not poll.skips_replies:
            try:
                client.parse_response(client.connection, "BLMOVE", **options)
            except ResponseError as error:
                refusal = error  # the reply of FETCH must be read first
        try:
            reply = client.parse_response(client.connection, "EVALSHA", **options)
        except NoScriptError:
            client.connection.send_command("EVAL", FETCH.script, len(poll.keys), *poll.keys, *poll.args)
            reply = client.parse_response(client.connection, "EVAL", **options)
        fetched = InFlightStore.parse_fetch(reply)
        self.inflight.clock.update(fetched.now)
        poll.next_due = fetched.next_due
        bulk = sum(self.inflight.is_bulk(tag) for tag, _ in fetched.messages)
        counts = {True: bulk, False: len(fetched.messages) - bulk}
        kinds = [self.inflight.keys.is_bulk(request.lists[0]) for request in poll.requests]
        poll.next_alone = None if fetched.next_alone is None else kinds[fetched.next_alone]
        poll.may_have_more = poll.next_alone is not None or any(
            counts[bulk] == request.max_messages for bulk, request in zip(kinds, poll.requests, strict=True)
        )
        if refusal is not None and not fetched.messages:
            raise refusal
        return fetched

    def _on_refusal(self, error: ResponseError) -> None:
        """Pause polling after Redis refused; disconnect from a replica, because the master may be elsewhere."""
        poll = self._polling
        if monotonic() >= poll.refused_until:
            # Only the error's type: its message may quote a text.
            logger.warning("Redis refused a command (%s); retrying in %.0f s", type(error).__name__, REFUSAL_PAUSE)
        poll.refused_until, poll.may_have_more = monotonic() + REFUSAL_PAUSE, False
        if isinstance(error, ReadOnlyError):
            raise RedisConnectionError("Redis is a replica now") from error

    def _deliver_all(self, fetched: FetchResult) -> None:
        decoded = list(self._decode_all(fetched))
        if fetched.crashed_tasks:
            self._set_crash_counts([message for _, message, _ in decoded])
        for tag, message, queue in decoded:
            callback = self.connection._callbacks.get(queue)  # noqa: SLF001 - kombu's way to a consumer
            if callback is None:  # cancelled in the meantime
                self.qos.reject(tag, requeue=True)
                continue
            try:
                callback(message)
            except (RedisError, OSError):
                raise
            except Exception as error:  # noqa: BLE001 - no message may stop the worker
                self._discard(tag, error)
        self.inflight.handled = number_of(fetched.messages[-1][0])

    def _decode_all(self, fetched: FetchResult) -> Iterator[tuple[str, Any, str]]:
        """Yield tag, message and queue of each message; one that cannot be decoded is discarded."""
        for tag, raw in fetched.messages:
            try:
                message = decode(raw, self.inflight.max_message_bytes)
                properties = message["properties"]
                properties["delivery_tag"] = tag  # the sender's tag does not name the in-flight message
                properties.pop(CRASHES, None)
            except Exception as error:  # noqa: BLE001 - no message may stop the worker
                self._discard(tag, error)
            else:
                yield tag, message, list_of(tag).rsplit(self.sep, 1)[0]

    def _set_crash_counts(self, messages: list[Any]) -> None:
        with self.conn_or_acquire() as client:
            counts = self.inflight.crash_counts(client, [str(message["headers"].get("id")) for message in messages])
        for message, count in zip(messages, counts, strict=True):
            message["properties"][CRASHES] = count

    def _discard(self, tag: str, error: Exception) -> None:
        # The error's message may quote the text, so only its type is logged.
        logger.error("discarded a message that cannot be decoded: %s", type(error).__name__)
        self.qos.ack(tag)

    def close(self) -> None:
        """Close the channel and its connections. The messages that a pending poll fetches are requeued later."""
        if self._polling.state is not PollState.IDLE:
            self._polling.state = PollState.IDLE
            with suppress(RedisError, OSError):
                self.client.connection.disconnect()
            self._in_poll = None
        self.bulk_waiter.close()
        super().close()

    def _poll_error(self, type: str, **options: Any) -> None:  # noqa: A002 - kombu's name
        if type == BULK:
            self.bulk_waiter.on_readable()
        else:
            super()._poll_error(type, **options)


class ReliableSentinelChannel(ReliableChannel, kombu_redis.SentinelChannel):  # type: ignore[misc]
    """A ReliableChannel to the master that Redis Sentinel names."""


class BulkWaiter:
    """Waits on the bulk list with a connection of its own, and ends the channel's wait when something arrives there.

    Attributes:
        list: the list to wait for; None until the channel waits again.
        waiting: BLMOVE was sent and not answered yet.
        denied: the Redis user is not permitted to run CLIENT UNBLOCK, so waiting would be useless.
    """

    def __init__(self, channel: ReliableChannel) -> None:
        self._channel = channel
        self.list: str | None = None
        self.waiting = False
        self.denied = False

    @cached_property
    def client(self) -> Any:
        """A client with a connection that kombu's poller can register."""
        return self._channel._create_client(asynchronous=True)  # noqa: SLF001

    def wait(self) -> None:
        """Send BLMOVE; if its reply is skipped, also COUNT, whose reply shows whether a message has arrived.

        Raises:
            RedisError: the connection is lost.
        """
        commands: list[tuple[Any, ...]] = [
            ("BLMOVE", self.list, self.list, "RIGHT", "RIGHT", self._channel.brpop_timeout)
        ]
        if self._channel.skips_replies:
            leases = self._channel.inflight.keys.leases
            commands = [SKIP_REPLY, *commands, ("EVAL", COUNT.script, 2, leases, self.list)]
        connection = self.client.connection
        connection.send_packed_command(connection.pack_commands(commands))
        self.waiting = True

    def on_readable(self) -> None:
        """Read the reply. If a message has arrived, end the channel's wait.

        Raises:
            RedisError: the connection is lost.
        """
        self.waiting = False
        connection = self.client.connection
        try:
            arrived = bool(self.client.parse_response(connection, "EVAL"))  # or the message that BLMOVE returned
        except ResponseError:  # the channel's own command is refused too, and logs it
            self.list = None
            return
        except RedisError:
            connection.disconnect()
            raise
        if arrived:
            self.list = None  # the channel fetches before it waits again
        if arrived and (client_id := self._channel.blocked_client_id) is not None:
            connection.send_command("CLIENT", "UNBLOCK", client_id)
            try:
                self.client.parse_response(connection, "CLIENT UNBLOCK")
            except NoPermissionError:
                self.denied = True
                logger.warning(
                    "the Redis user has no permission for CLIENT UNBLOCK, so single bulk requests wait up to a second; "
                    "allow it with the rule +client|unblock"
                )

    def close(self) -> None:
        """Close the connection."""
        client = self.__dict__.get("client")
        if client is not None and client.connection is not None:
            with suppress(RedisError, OSError):
                client.connection.disconnect()
        self.list, self.waiting = None, False


class Poller(kombu_redis.MultiChannelPoller):  # type: ignore[misc]
    """Sends the acknowledgements of all channels before each wait of the event loop, and polls their bulk waiters."""

    def on_poll_start(self) -> None:
        """Prepare all channels for the next wait of the event loop."""
        for channel in self._channels:
            channel.flush()
            channel.check_wait()
        super().on_poll_start()
        for channel in self._channels:
            self._start_bulk_waiter(channel, channel.bulk_waiter)

    def _start_bulk_waiter(self, channel: ReliableChannel, waiter: BulkWaiter) -> None:
        if channel.blocked_client_id is None or waiter.list is None or waiter.waiting or waiter.denied:
            return
        if not self._client_registered(channel, waiter.client, BULK):
            self._register(channel, waiter.client, BULK)
        waiter.wait()

    def on_readable(self, fileno: int) -> None:
        """Read a reply. A bulk waiter's is read even if there is no room, or its socket would stay readable."""
        channel, kind = self._fd_to_chan.get(fileno) or (None, None)
        if channel is not None and kind == BULK:
            channel.bulk_waiter.on_readable()
        else:
            super().on_readable(fileno)


class Transport(kombu_redis.Transport):  # type: ignore[misc]
    """kombu's transport to redis:// and rediss://; its channels are reliable if the options carry an InFlightStore."""

    reliable_channel: type[ReliableChannel] = ReliableChannel

    def __init__(self, client: Any, **kwargs: Any) -> None:
        super().__init__(client, **kwargs)
        if INFLIGHT_OPTION in client.transport_options:
            self.Channel = self.reliable_channel
            self.cycle = Poller()


class SentinelTransport(Transport):
    """The same to sentinel://."""

    default_port = 26379
    Channel = kombu_redis.SentinelChannel
    reliable_channel = ReliableSentinelChannel


def install() -> None:
    """Make kombu use these transports in this process.

    They are registered by scheme, not with Celery's `broker_transport`: kombu loses that when it fails over to
    another URL.
    """
    TRANSPORT_ALIASES.update(
        redis=f"{__name__}:Transport", rediss=f"{__name__}:Transport", sentinel=f"{__name__}:SentinelTransport"
    )
    for scheme in ("redis", "rediss", "sentinel"):
        _transport_cache.pop(scheme, None)
