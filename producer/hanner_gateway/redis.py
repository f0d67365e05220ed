"""The gateway's own connection to Redis: state of jobs, rate limits, the queue's depth."""

from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from redis.asyncio import Redis, Sentinel
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff

from hanner.settings import Settings
from hanner.transport.celery_app import split_url

MAX_CONNECTIONS = 200
RETRIES = 4


def connect(settings: Settings) -> Redis:
    """Return a client of the broker that `settings` name; nothing is opened yet.

    Raises:
        InvalidSettings: the broker's URL cannot be used.
    """
    url, master = split_url(settings.broker_url)
    patience: dict[str, Any] = {
        "socket_timeout": settings.connect_timeout,
        "socket_connect_timeout": settings.connect_timeout,
        "health_check_interval": 10,
        "max_connections": MAX_CONNECTIONS,
        "retry": Retry(ExponentialBackoff(cap=0.4, base=0.05), RETRIES),  # over a restart, and a stale connection
    }
    if url.startswith("sentinel://"):
        return _by_sentinel(url.split(";"), master, patience)
    return Redis.from_url(url.replace("redis+socket://", "unix://", 1), **patience)


def _by_sentinel(urls: list[str], master: str, options: dict[str, Any]) -> Redis:
    parts = [urlsplit(url) for url in urls]
    first = parts[0]
    database = first.path.strip("/") or dict(parse_qsl(first.query)).get("virtual_host", "0")
    sentinels = [(part.hostname or "localhost", part.port or 26379) for part in parts]
    login: dict[str, Any] = {
        "username": first.username,
        "password": unquote(first.password) if first.password else None,
    }
    found: Redis = Sentinel(sentinels, **options).master_for(  # type: ignore[no-untyped-call]
        master, db=int(database), **login, **options
    )
    return found


async def close(redis: Redis) -> None:
    """Close a client of `connect`, and with it the connections to sentinels, which redis-py leaves open."""
    await redis.aclose()
    manager = getattr(redis.connection_pool, "sentinel_manager", None)
    for sentinel in manager.sentinels if manager is not None else ():
        await sentinel.aclose()
