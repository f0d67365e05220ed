"""kombu's Redis transport with channels that hold their messages (channel.py). Touches kombu's internals."""

from typing import Any

from kombu.transport import TRANSPORT_ALIASES, _transport_cache
from kombu.transport import redis as kombu_redis

from hanner_worker.delivery.channel import LEDGER, ReliableChannel, ReliableSentinelChannel
from hanner_worker.delivery.waker import WAKE, Waker


class Poller(kombu_redis.MultiChannelPoller):  # type: ignore[misc]
    """Sends the acknowledgements of all channels before each wait, and looks after their wakers."""

    def on_poll_start(self) -> None:
        """Prepare all channels for the next wait of the event loop."""
        for channel in self._channels:
            channel.flush()
        super().on_poll_start()
        for channel in self._channels:
            self._let_wake(channel, channel.waker)

    def _let_wake(self, channel: ReliableChannel, waker: Waker) -> None:
        if channel.blocked is None or waker.list is None or waker.waiting or waker.refused:
            return
        if not self._client_registered(channel, waker.client, WAKE):
            self._register(channel, waker.client, WAKE)
        waker.wait()

    def on_readable(self, fileno: int) -> None:
        """Read what has come; a waker is read even if there is no room, or its socket would stay readable."""
        channel, kind = self._fd_to_chan.get(fileno) or (None, None)
        if channel is not None and kind == WAKE:
            channel.waker.on_readable()
        else:
            super().on_readable(fileno)


class Transport(kombu_redis.Transport):  # type: ignore[misc]
    """kombu's transport to redis:// and rediss://, and the worker's where the options carry a Ledger."""

    Holding: type[ReliableChannel] = ReliableChannel

    def __init__(self, client: Any, **kwargs: Any) -> None:
        super().__init__(client, **kwargs)
        if LEDGER in client.transport_options:
            self.Channel = self.Holding
            self.cycle = Poller()


class SentinelTransport(Transport):
    """The same to sentinel://."""

    default_port = 26379
    Channel = kombu_redis.SentinelChannel
    Holding = ReliableSentinelChannel


def install() -> None:
    """Let kombu use these transports in this process.

    Named by their schemes, not by Celery's `broker_transport`: kombu forgets that when it goes on to another URL.
    """
    TRANSPORT_ALIASES.update(
        redis="hanner_worker.delivery.transport:Transport",
        rediss="hanner_worker.delivery.transport:Transport",
        sentinel="hanner_worker.delivery.transport:SentinelTransport",
    )
    for scheme in ("redis", "rediss", "sentinel"):
        _transport_cache.pop(scheme, None)
