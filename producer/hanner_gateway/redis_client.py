"""The gateway's own async Redis client, for the state of jobs and for rate limits."""

import asyncio
from typing import Any

from redis.asyncio import Redis, Sentinel
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff

from hanner.address import parse_address
from hanner.settings import Settings

MAX_CONNECTIONS = 200
RETRIES = 4


def make_redis(settings: Settings) -> Redis:
    """Return a client of the settings' broker, of the first one if there are several; it connects on first use."""
    address = parse_address(settings.per_address()[0].broker_url)
    options: dict[str, Any] = {
        "socket_timeout": settings.connect_timeout,
        "socket_connect_timeout": settings.connect_timeout,
        "health_check_interval": 10,
        "max_connections": MAX_CONNECTIONS,
        # Retries outlast a restart of Redis and replace stale connections.
        "retry": Retry(ExponentialBackoff(cap=0.4, base=0.05), RETRIES),
    }
    options |= address.client_options()
    if not address.master:
        return _cancellable(Redis(**options))
    sentinels: Any = Sentinel(list(address.nodes), **options)  # type: ignore[no-untyped-call]
    redis: Redis = sentinels.master_for(address.master, **options)
    for sentinel in _sentinels(redis):
        _cancellable(sentinel)
    return _cancellable(redis)


def _cancellable(redis: Redis) -> Redis:
    """Raise every cancellation of a task that sends a command.

    redis-py sends with asyncio.wait_for, which in Python 3.11 ignores a cancellation if the command has just been sent.
    """
    connection_class: Any = redis.connection_pool.connection_class

    class CancellableConnection(connection_class):  # type: ignore[misc]
        async def send_packed_command(self, *args: Any, **kwargs: Any) -> None:
            task = asyncio.current_task()
            before = 0 if task is None else task.cancelling()
            await super().send_packed_command(*args, **kwargs)
            if task is not None and task.cancelling() > before:
                await self.disconnect(nowait=True)  # its reply is not read
                raise asyncio.CancelledError

    redis.connection_pool.connection_class = CancellableConnection
    return redis


def _sentinels(redis: Redis) -> list[Redis]:
    """Return the clients with which a client of `make_redis` finds its master."""
    manager = getattr(redis.connection_pool, "sentinel_manager", None)
    return [] if manager is None else manager.sentinels


async def close_redis(redis: Redis) -> None:
    """Close a client of `make_redis` and its connections to sentinels, which redis-py leaves open."""
    await redis.aclose()
    for sentinel in _sentinels(redis):
        await sentinel.aclose()
