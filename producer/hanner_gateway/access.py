"""Access control in ASGI middleware: API keys, rate limits (counted in Redis) and the maximum body size.

All are checked before the body is read.
"""

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
from hanner_gateway.problems import BODY_TOO_LARGE, error_response, from_redis_error, problem_response

if TYPE_CHECKING:
    from redis.asyncio import Redis

DIGEST_PREFIX = "sha256:"


class ApiKeys:
    """The accepted API keys, stored as SHA-256 digests only.

    Args:
        setting: HANNER_API_KEYS: keys separated by commas, each a key or `sha256:` and its hex digest.

    Raises:
        InvalidSettings: an entry that starts with `sha256:` is not a digest. The message does not repeat the entry.
    """

    def __init__(self, setting: str) -> None:
        self._digests = [_digest(entry.strip(), n) for n, entry in enumerate(setting.split(","), 1) if entry.strip()]

    def __bool__(self) -> bool:
        return bool(self._digests)

    def identify(self, key: str | None) -> str | None:
        """Return an id for the key, usable in Redis keys; None if the key is not accepted. Takes constant time."""
        digest = hashlib.sha256((key or "").encode()).digest()
        accepted = False
        for known in self._digests:
            accepted |= hmac.compare_digest(known, digest)
        return digest.hex()[:16] if accepted else None


def _digest(entry: str, number: int) -> bytes:
    if not entry.startswith(DIGEST_PREFIX):
        return hashlib.sha256(entry.encode()).digest()
    try:
        digest = bytes.fromhex(entry.removeprefix(DIGEST_PREFIX))
    except ValueError:
        digest = b""
    if len(digest) != hashlib.sha256().digest_size:
        raise InvalidSettings(
            f"HANNER_API_KEYS cannot be used: entry {number} is not a SHA-256 digest of 64 hex digits"
        )
    return digest


def parse_rate_limits(setting: str) -> list[RateLimitItem]:
    """Return the limits of HANNER_RATE_LIMIT; none if it is empty.

    Raises:
        InvalidSettings: it cannot be parsed.
    """
    try:
        return parse_many(setting) if setting.strip() else []
    except ValueError:
        raise InvalidSettings(
            f"HANNER_RATE_LIMIT cannot be used: {setting!r}; write for example 100/minute, or 10/second;1000/hour"
        ) from None


class RateLimiter:
    """Counts requests in Redis, where all gateway processes share the counts.

    Args:
        redis: The connection.
        queue: The queue's name, part of the keys.
        limits: The limits; a request counts against each.
    """

    def __init__(self, redis: "Redis", queue: str, limits: Iterable[RateLimitItem]) -> None:
        pool: Any = redis.connection_pool  # limits documents this argument but does not annotate it
        storage = RedisStorage(
            "redis://", implementation="redispy", key_prefix=f"hanner:{queue}:rate", connection_pool=pool
        )
        self._limiter = SlidingWindowCounterRateLimiter(storage)
        self._limits = list(limits)

    async def hit(self, caller: str) -> float | None:
        """Count a request; return the seconds until the caller may retry, or None if the request is allowed."""
        for limit in self._limits:
            if not await self._limiter.hit(limit, caller):
                stats = await self._limiter.get_window_stats(limit, caller)
                return max(0.0, stats.reset_time - time.time())
        return None


class AccessMiddleware:
    """ASGI middleware that rejects requests without a valid key, over the rate limit, or with too large a body.

    Args:
        app: The wrapped app.
        keys: Accepted API keys; if empty, no key is required.
        limiter: Counts requests; None disables rate limits.
        max_body_bytes: The maximum body size of each path; the path "" stands for all others.
    """

    def __init__(
        self, app: ASGIApp, keys: ApiKeys, limiter: RateLimiter | None, max_body_bytes: Mapping[str, int]
    ) -> None:
        self._app, self._keys, self._limiter, self._max_body_bytes = app, keys, limiter, max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: D102 - ASGI's name
        if not _is_protected(scope):
            await self._app(scope, receive, send)
            return
        max_bytes = self._max_body_bytes.get(scope["path"], self._max_body_bytes[""])
        content_length = Headers(scope=scope).get("content-length", "")
        rejection = await self._reject(scope)
        if rejection is None and content_length.isdecimal() and int(content_length) > max_bytes:
            rejection = problem_response(413, BODY_TOO_LARGE)
        await (rejection or self._app)(scope, _limit_body(receive, max_bytes), send)

    async def _reject(self, scope: Scope) -> Response | None:
        """Return the response that rejects the request; None if it is allowed."""
        client = scope.get("client")
        caller: str | None = client[0] if client else "unknown"
        if self._keys:
            caller = self._keys.identify(_api_key(Headers(scope=scope)))
            if caller is None:
                detail = "an API key is required; send it as Authorization: Bearer KEY, or as X-API-Key: KEY"
                return problem_response(401, detail, headers={"WWW-Authenticate": "Bearer"})
        if self._limiter is None:
            return None
        try:
            seconds = await self._limiter.hit(caller or "")
        except (RedisError, OSError) as error:
            return error_response(from_redis_error(error))
        if seconds is None:
            return None
        headers = {"Retry-After": str(max(1, math.ceil(seconds)))}
        return problem_response(429, f"too many requests; retry in {headers['Retry-After']} s", headers=headers)


def _limit_body(receive: Receive, max_bytes: int) -> Receive:
    """Return a `receive` that raises 413 when the body exceeds the limit, for bodies without Content-Length."""
    total = 0

    async def limited() -> Message:
        nonlocal total
        message = await receive()
        total += len(message.get("body", b""))
        if total > max_bytes:
            raise HTTPException(413)
        return message

    return limited


def _is_protected(scope: Scope) -> bool:
    if scope["type"] != "http" or scope["method"] == "OPTIONS":
        return False
    path = scope["path"]
    return path.startswith("/api/") or (path == "/" and scope["method"] not in {"GET", "HEAD"})


def _api_key(headers: Headers) -> str | None:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else headers.get("x-api-key")
