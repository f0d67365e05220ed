"""Checks of the server that holds the queue: its address, its version, and how it keeps what it is given."""

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from redis.exceptions import AuthenticationError, AuthorizationError, RedisError

from hanner.cli.doctor.result import CheckResult, fail, ok, warn
from hanner.transport.celery_app import redact_url

OLDEST = (6, 2)
"""First version with BLMOVE."""
SKEW_WARN, SKEW_FAIL = 2.0, 30.0
"""Seconds between two clocks: expiry is written by the client and read by the worker."""
FULL = 0.9


def address(url: str) -> CheckResult:
    """Judge how texts travel to the server."""
    first = urlsplit(url.split(";", maxsplit=1)[0])
    where = redact_url(url)
    if first.scheme == "rediss":
        if "ssl_cert_reqs=" in url and "required" not in url.lower():
            return warn("TLS", f"{where}: the server's certificate is not checked", "use ssl_cert_reqs=required")
        return ok("TLS", f"{where}: encrypted, certificate checked")
    if first.scheme == "redis+socket" or _near(first.hostname or ""):
        return ok("TLS", f"{where}: none, and the server is near")
    return warn("TLS", f"{where}: texts and results travel unencrypted", "use rediss://, or a private network")


def _near(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return "." not in host  # localhost, and names inside a compose file or a cluster


def unreachable(error: Exception, url: str) -> CheckResult:
    """Say why the server cannot be asked."""
    found = f"{redact_url(url)} does not answer: {_sentence(error)}"
    text = str(error).lower()
    if isinstance(error, AuthenticationError | AuthorizationError) or "noauth" in text or "wrongpass" in text:
        return fail("Redis", found, "put the password into HANNER_BROKER_URL: redis://:PASSWORD@HOST:PORT/0")
    if "certificate" in text:
        mend = "name the authority: rediss://HOST:PORT/0?ssl_ca_certs=FILE, and a host name that the certificate has"
        return fail("Redis", found, mend)
    if "ssl" in text or "wrong version number" in text:
        return fail("Redis", found, "write rediss:// for a port that speaks TLS, redis:// for one that does not")
    if "name or service not known" in text or "getaddrinfo" in text or "name resolution" in text:
        return fail("Redis", found, "the host's name is unknown here; correct HANNER_BROKER_URL")
    if isinstance(error, RedisError) and "loading" in text:
        return fail("Redis", found, "it reads its data; wait a little")
    return fail("Redis", found, "start it (hanner up starts one), or set HANNER_BROKER_URL to where it runs")


def _sentence(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def server(info: Mapping[str, Any]) -> Iterator[CheckResult]:
    """Judge a server by what INFO says; a managed one may refuse CONFIG, so that is not asked."""
    yield _version(info)
    if info.get("cluster_enabled"):
        yield fail("Redis", "it is a cluster", "Celery's queue needs one server, or Sentinel: sentinel://")
    if info.get("role") == "slave":
        yield fail("Redis", "it is a replica, and cannot be written to", "use its master, or sentinel:// to find it")
    yield _policy(info)
    yield _memory(info)
    yield _persistence(info)


def _version(info: Mapping[str, Any]) -> CheckResult:
    name, key = ("Valkey", "valkey_version") if "valkey_version" in info else ("Redis", "redis_version")
    version = str(info.get(key, "0"))
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if numbers < OLDEST:
        return fail("Redis", f"{name} {version}", "hanner needs Redis 6.2 or newer, or Valkey")
    return ok("Redis", f"{name} {version}, {int(info.get('connected_clients', 0)):,} connections")


def _policy(info: Mapping[str, Any]) -> CheckResult:
    policy = str(info.get("maxmemory_policy", "unknown"))
    if policy in {"noeviction", "unknown"}:
        return ok("eviction", f"maxmemory-policy {policy}")
    mend = "CONFIG SET maxmemory-policy noeviction: else Redis deletes results, and the queue, when memory is short"
    return (warn if policy.startswith("volatile") else fail)("eviction", f"maxmemory-policy {policy}", mend)


def _memory(info: Mapping[str, Any]) -> CheckResult:
    used, limit = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    if not limit:
        return ok("memory", f"{used / 2**20:,.0f} MB used, no limit")
    found = f"{used / 2**20:,.0f} of {limit / 2**20:,.0f} MB used"
    if used > FULL * limit:
        return warn("memory", found, "raise maxmemory, or start more workers: at the limit texts are refused")
    return ok("memory", found)


def _persistence(info: Mapping[str, Any]) -> CheckResult:
    if not info.get("aof_enabled"):
        mend = "CONFIG SET appendonly yes: else a restart of Redis forgets what came since its last snapshot"
        return warn("persistence", "appendonly no", mend)
    if info.get("aof_last_write_status", "ok") != "ok":
        return fail("persistence", "the last write of the append-only file failed", "make room on the server's disk")
    return ok("persistence", "appendonly yes")


def skew(other: float, before: float, after: float) -> float:
    """Return by how many seconds another clock, read between two readings of this one, must be wrong at least."""
    return max(before - other, other - after, 0.0)


def clock(server_time: float, before: float, after: float) -> CheckResult:
    """Compare Redis's clock with this machine's; all in seconds since 1970."""
    seconds = skew(server_time, before, after)
    found = f"{seconds:.1f} s between Redis's clock and this machine's"
    if seconds >= SKEW_WARN:
        mend = "set both by NTP: `expires` is written by one clock and read by another"
        return (fail if seconds >= SKEW_FAIL else warn)("clock", found, mend)
    return ok("clock", found)
