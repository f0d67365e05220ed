"""The gateway's own async Redis client, for the state of jobs and for rate limits."""

from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from redis.asyncio import Redis, Sentinel
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff

from hanner.settings import Settings
from hanner.transport.celery_app import split_url

MAX_CONNECTIONS = 200
RETRIES = 4


def make_redis(settings: Settings) -> Redis:
    """Return a client of the settings' broker; it connects on first use.

    Raises:
        InvalidSettings: the broker's URL is invalid.
    """
    url, master = split_url(settings.broker_url)
    options: dict[str, Any] = {
        "socket_timeout": settings.connect_timeout,
        "socket_connect_timeout": settings.connect_timeout,
        "health_check_interval": 10,
        "max_connections": MAX_CONNECTIONS,
        # Retries outlast a restart of Redis and replace stale connections.
        "retry": Retry(ExponentialBackoff(cap=0.4, base=0.05), RETRIES),
    }
    if url.startswith("sentinel://"):
        return _make_sentinel_redis(url.split(";"), master, options)
    return Redis.from_url(url.replace("redis+socket://", "unix://", 1), **options)


def _make_sentinel_redis(urls: list[str], master: str, options: dict[str, Any]) -> Redis:
    parts = [urlsplit(url) for url in urls]
    first = parts[0]
    database = first.path.strip("/") or dict(parse_qsl(first.query)).get("virtual_host", "0")
    sentinels = [(part.hostname or "localhost", part.port or 26379) for part in parts]
    credentials: dict[str, Any] = {
        "username": first.username,
        "password": unquote(first.password) if first.password else None,
    }
    redis: Redis = Sentinel(sentinels, **options).master_for(  # type: ignore[no-untyped-call]
        master, db=int(database), **credentials, **options
    )
    return redis


async def close_redis(redis: Redis) -> None:
    """Close a client of `make_redis` and its connections to sentinels, which redis-py leaves open."""
    await redis.aclose()
    manager = getattr(redis.connection_pool, "sentinel_manager", None)
    for sentinel in manager.sentinels if manager is not None else ():
        await sentinel.aclose()
