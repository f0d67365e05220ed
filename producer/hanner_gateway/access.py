"""Access control in ASGI middleware: API keys, rate limits (counted in Redis) and the maximum body size.

Wrong keys are counted per address. Above the limit all keys from there are rejected without a comparison, except those
that this process has accepted from the address before, so that one wrong client does not stop its neighbours.

All are checked before the body is read.
"""

import asyncio
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
from hanner.settings import variable
from hanner_gateway.problems import BodyTooLarge, error_response, from_redis_error, problem_response
from hanner_gateway.proxies import ProxyWarning, caller_address

if TYPE_CHECKING:
    from redis.asyncio import Redis

DIGEST_PREFIX = "sha256:"
OFF = "off"
"""Value of a rate limit that has a default, for no limit."""
BODY_TIMEOUT = 30.0
"""Seconds that a client has to send a body, and for each `MIN_BODY_RATE` bytes one second more."""
MIN_BODY_RATE = 16_384
"""Bytes per second: 100 MB may take up to two hours."""
MAX_ACCEPTED = 10_000
"""Number of addresses with accepted keys that a process remembers."""


class ApiKeys:
    """The accepted API keys, stored as SHA-256 digests only.

    Args:
        setting: HANNER_API_KEYS: keys separated by commas, each a key or `sha256:` and its hex digest.

    Raises:
        InvalidSettings: an entry that starts with `sha256:` is not a digest, or there is no entry between the commas.
            The message does not repeat an entry.
    """

    def __init__(self, setting: str) -> None:
        self._digests = [_digest(entry.strip(), n) for n, entry in enumerate(setting.split(","), 1) if entry.strip()]
        if setting and not self._digests:
            raise InvalidSettings("HANNER_API_KEYS is set, but has no key; add a key, or unset it to require none")

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


def parse_rate_limits(setting: str, name: str = "rate_limit") -> list[RateLimitItem]:
    """Return the limits of a setting; none if it is empty or `off`.

    Args:
        setting: The setting's value.
        name: Its name.

    Raises:
        InvalidSettings: it cannot be parsed.
    """
    try:
        return parse_many(setting) if setting.strip() not in {"", OFF} else []
    except ValueError:
        raise InvalidSettings(
            f"{variable(name)} cannot be used: {setting!r}; write for example 100/minute, or 10/second;1000/hour"
        ) from None


class RateLimiter:
    """Counts requests in Redis, where all gateway processes share the counts.

    Args:
        redis: The connection.
        queue: The queue's name, part of the keys.
        limits: The limits; a request counts against each.
        name: What is counted, part of the keys.
    """

    def __init__(self, redis: "Redis", queue: str, limits: Iterable[RateLimitItem], name: str = "rate") -> None:
        pool: Any = redis.connection_pool  # limits documents this argument but does not annotate it
        storage = RedisStorage(
            "redis://", implementation="redispy", key_prefix=f"hanner:{queue}:{name}", connection_pool=pool
        )
        self._limiter = SlidingWindowCounterRateLimiter(storage)
        self._limits = list(limits)

    async def hit(self, caller: str) -> float | None:
        """Count a request; return the seconds until the caller may retry, or None if the request is allowed."""
        for limit in self._limits:
            if not await self._limiter.hit(limit, caller):
                return await self._seconds(limit, caller)
        return None

    async def test(self, caller: str) -> float | None:
        """Return what `hit` would return, but count nothing."""
        for limit in self._limits:
            if not await self._limiter.test(limit, caller):
                return await self._seconds(limit, caller)
        return None

    async def _seconds(self, limit: RateLimitItem, caller: str) -> float:
        stats = await self._limiter.get_window_stats(limit, caller)
        return max(0.0, stats.reset_time - time.time())


class KeyCheck:
    """Checks the API keys of requests, and limits the wrong ones of each address.

    Args:
        keys: The accepted keys.
        limiter: Counts wrong keys by address; None disables the limit.
    """

    def __init__(self, keys: ApiKeys, limiter: RateLimiter | None) -> None:
        self._keys, self._limiter = keys, limiter
        self._accepted: dict[tuple[str, str], None] = {}

    def __bool__(self) -> bool:
        return bool(self._keys)

    async def identify(self, key: str | None, address: str) -> str | Response:
        """Return an id for the key, or the response that rejects it.

        Args:
            key: The key of the request; None if it has none, which is not counted as a wrong key.
            address: Where the request comes from.
        """
        identity = self._keys.identify(key)
        if identity is not None and (address, identity) in self._accepted:
            return identity
        if self._limiter is not None and key:
            count = self._limiter.hit if identity is None else self._limiter.test
            if (seconds := await count(address)) is not None:
                return _too_many("wrong API keys from your address", seconds)
        if identity is None:
            detail = "an API key is required; send it as Authorization: Bearer KEY, or as X-API-Key: KEY"
            return problem_response(401, detail, headers={"WWW-Authenticate": "Bearer"})
        if len(self._accepted) >= MAX_ACCEPTED:
            del self._accepted[next(iter(self._accepted))]
        self._accepted[address, identity] = None
        return identity


class AccessMiddleware:
    """ASGI middleware that rejects requests without a valid key, over the rate limit, or with too large a body.

    Args:
        app: The wrapped app.
        keys: Checks API keys; if it is false, no key is required.
        limiter: Counts requests; None disables rate limits.
        max_body_bytes: The maximum body size of each path; the path "" stands for all others.
    """

    def __init__(
        self, app: ASGIApp, keys: KeyCheck, limiter: RateLimiter | None, max_body_bytes: Mapping[str, int]
    ) -> None:
        self._app, self._keys, self._limiter, self._max_body_bytes = app, keys, limiter, max_body_bytes
        self._proxy_warning = ProxyWarning()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: D102 - ASGI's name
        if not _is_protected(scope):
            await self._app(scope, receive, send)
            return
        max_bytes = self._max_body_bytes.get(scope["path"], self._max_body_bytes[""])
        content_length = Headers(scope=scope).get("content-length", "")
        rejection = await self._reject(scope)
        if rejection is None and content_length.isdecimal() and int(content_length) > max_bytes:
            rejection = problem_response(413, BodyTooLarge(max_bytes).detail, limit=max_bytes)
        await (rejection or self._app)(scope, _limit_body(receive, max_bytes), send)

    async def _reject(self, scope: Scope) -> Response | None:
        """Return the response that rejects the request; None if it is allowed."""
        caller = caller_address(scope)
        if self._keys or self._limiter is not None:
            self._proxy_warning.check(scope)
        try:
            if self._keys:
                identified = await self._keys.identify(_api_key(Headers(scope=scope)), caller)
                if isinstance(identified, Response):
                    return identified
                caller = identified
            seconds = None if self._limiter is None else await self._limiter.hit(caller)
        except (RedisError, OSError) as error:
            return error_response(from_redis_error(error))
        return None if seconds is None else _too_many("requests", seconds)


def _too_many(what: str, seconds: float) -> Response:
    headers = {"Retry-After": str(max(1, math.ceil(seconds)))}
    return problem_response(429, f"too many {what}; retry in {headers['Retry-After']} s", headers=headers)


def _limit_body(receive: Receive, max_bytes: int) -> Receive:
    """Return a `receive` that raises 408 if the body is too slow, and 413 if it is too large without Content-Length."""
    total = 0
    deadline: float | None = None
    complete = False

    async def limited() -> Message:
        nonlocal total, deadline, complete
        if complete:  # waits for the disconnect
            return await receive()
        if deadline is None:
            deadline = asyncio.get_running_loop().time() + BODY_TIMEOUT
        try:
            async with asyncio.timeout_at(deadline + total / MIN_BODY_RATE):
                message = await receive()
        except TimeoutError:
            raise HTTPException(408, headers={"Connection": "close"}) from None
        total += len(message.get("body", b""))
        complete = not message.get("more_body", False)
        if total > max_bytes:
            raise BodyTooLarge(max_bytes)
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
