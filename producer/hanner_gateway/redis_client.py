"""The gateway's own async Redis client, for the state of jobs and for rate limits."""

from typing import Any

from redis.asyncio import Redis, Sentinel
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff

from hanner.address import parse_address
from hanner.settings import Settings

MAX_CONNECTIONS = 200
RETRIES = 4


def make_redis(settings: Settings) -> Redis:
    """Return a client of the settings' broker; it connects on first use."""
    address = parse_address(settings.broker_url)
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
        return Redis(**options)
    sentinels: Any = Sentinel(list(address.nodes), **options)  # type: ignore[no-untyped-call]
    redis: Redis = sentinels.master_for(address.master, **options)
    return redis


async def close_redis(redis: Redis) -> None:
    """Close a client of `make_redis` and its connections to sentinels, which redis-py leaves open."""
    await redis.aclose()
    manager = getattr(redis.connection_pool, "sentinel_manager", None)
    for sentinel in manager.sentinels if manager is not None else ():
        await sentinel.aclose()
