"""Who may call, and with how much: API keys, rate limits and the body's length, before a byte of it is read."""

import hashlib
import hmac
import math
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from limits import RateLimitItem, parse_many
from limits.aio.storage import RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from redis.exceptions import RedisError
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hanner.errors import InvalidSettings
from hanner_gateway.problems import TOO_LONG, of, problem, translated

if TYPE_CHECKING:
    from redis.asyncio import Redis

HASH = "sha256:"


class Keys:
    """The keys that may be used. Only their digests are held.

    Args:
        configured: The setting: keys with commas between them, each a key or `sha256:` and its hex digest.

    Raises:
        InvalidSettings: an entry is no digest though it says so. The sentence does not repeat it.
    """

    def __init__(self, configured: str) -> None:
        self._digests = [_digest(entry.strip(), n) for n, entry in enumerate(configured.split(","), 1) if entry.strip()]

    def __bool__(self) -> bool:
        return bool(self._digests)

    def find(self, given: str | None) -> str | None:
        """Return a name for the key, fit for Redis; None when it is not one of ours. Takes the same time always."""
        digest = hashlib.sha256((given or "").encode()).digest()
        found = False
        for known in self._digests:
            found |= hmac.compare_digest(known, digest)
        return digest.hex()[:16] if found else None


def _digest(entry: str, number: int) -> bytes:
    if not entry.startswith(HASH):
        return hashlib.sha256(entry.encode()).digest()
    try:
        digest = bytes.fromhex(entry.removeprefix(HASH))
    except ValueError:
        digest = b""
    if len(digest) != hashlib.sha256().digest_size:
        raise InvalidSettings(f"HANNER_API_KEYS cannot be used: entry {number} is no SHA-256 digest of 64 hex digits")
    return digest


def rates(configured: str) -> list[RateLimitItem]:
    """Read the setting of rate limits.

    Raises:
        InvalidSettings: it cannot be read.
    """
    try:
        return parse_many(configured) if configured.strip() else []
    except ValueError:
        raise InvalidSettings(
            f"HANNER_RATE_LIMIT cannot be used: {configured!r}; write for example 100/minute, or 10/second;1000/hour"
        ) from None


class RateLimit:
    """Counts requests in Redis, so that all gateway processes count together.

    Args:
        redis: The connection.
        queue: The queue's name, part of the keys.
        items: The limits; a request counts against each.
    """

    def __init__(self, redis: "Redis", queue: str, items: Iterable[RateLimitItem]) -> None:
        pool: Any = redis.connection_pool  # limits' annotation forgets what its documentation names
        storage = RedisStorage(
            "redis://", implementation="redispy", key_prefix=f"hanner:{queue}:rate", connection_pool=pool
        )
        self._limiter = SlidingWindowCounterRateLimiter(storage)
        self._items = list(items)

    async def wait(self, caller: str) -> float | None:
        """Count a request; return after how many seconds the caller may come again, None when it may pass."""
        for item in self._items:
            if not await self._limiter.hit(item, caller):
                stats = await self._limiter.get_window_stats(item, caller)
                return max(0.0, stats.reset_time - time.time())
        return None


class Gate:
    """ASGI middleware that lets through who may.

    Args:
        app: What is behind it.
        keys: Keys that may be used; with none, nobody is asked for one.
        limit: Counts requests; None lets all pass.
        longest: From a path to the bytes that a body may have there; the path "" stands for all others.
    """

    def __init__(self, app: ASGIApp, keys: Keys, limit: RateLimit | None, longest: Mapping[str, int]) -> None:
        self._app, self._keys, self._limit, self._longest = app, keys, limit, longest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: D102 - ASGI's name
        if not _is_guarded(scope):
            await self._app(scope, receive, send)
            return
        longest = self._longest.get(scope["path"], self._longest[""])
        announced = Headers(scope=scope).get("content-length", "")
        refusal = await self._refusal(scope)
        if refusal is None and announced.isdecimal() and int(announced) > longest:
            refusal = problem(413, TOO_LONG)
        await (refusal or self._app)(scope, _counted(receive, longest), send)

    async def _refusal(self, scope: Scope) -> Response | None:
        client = scope.get("client")
        caller: str | None = client[0] if client else "unknown"
        if self._keys:
            caller = self._keys.find(_given(Headers(scope=scope)))
            if caller is None:
                detail = "this needs an API key; send it as Authorization: Bearer KEY, or as X-API-Key: KEY"
                return problem(401, detail, headers={"WWW-Authenticate": "Bearer"})
        if self._limit is None:
            return None
        try:
            seconds = await self._limit.wait(caller or "")
        except (RedisError, OSError) as error:
            return of(translated(error))
        if seconds is None:
            return None
        headers = {"Retry-After": str(max(1, math.ceil(seconds)))}
        return problem(429, f"too many requests; come again in {headers['Retry-After']} s", headers=headers)


def _counted(receive: Receive, longest: int) -> Receive:
    """Count a body as it comes, for one whose length is not announced."""
    total = 0

    async def counted() -> Message:
        nonlocal total
        message = await receive()
        total += len(message.get("body", b""))
        if total > longest:
            raise HTTPException(413)
        return message

    return counted


def _is_guarded(scope: Scope) -> bool:
    if scope["type"] != "http" or scope["method"] == "OPTIONS":
        return False
    path = scope["path"]
    return path.startswith("/api/") or (path == "/" and scope["method"] not in {"GET", "HEAD"})


def _given(headers: Headers) -> str | None:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else headers.get("x-api-key")
