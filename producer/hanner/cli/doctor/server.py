"""Checks of the Redis server: its address, version, memory, persistence and clock.

Pure functions, except that the files of certificates are read.
"""

import ipaddress
import ssl
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from redis.exceptions import AuthenticationError, AuthorizationError, RedisError

from hanner.address import BrokerAddress
from hanner.cli.doctor.result import CheckResult, fail, ok, warn
from hanner.transport.server_mode import unsupported_reason

MIN_REDIS = (7, 0)
"""The first version whose scripts fail with the code of an error, such as READONLY; clients and workers retry some."""
SKEW_WARN, SKEW_FAIL = 2.0, 30.0
"""Seconds of difference between two clocks: Celery apps write eta and expires by their own, workers read Redis'."""
LOADS_ALL = {"Redis": (8, 6), "Valkey": (9, 1, 2)}
"""The first versions that load the append-only file without checking permissions. Earlier ones load it as the user
`default`, and skip each transaction that this user is not permitted to run (redis issue 14541)."""
MEMORY_WARN = 0.9
"""Share of maxmemory."""


def check_address(address: BrokerAddress) -> CheckResult:
    """Check whether texts are encrypted on their way to the server."""
    if address.tls is not None:
        if problem := _tls_file_problem(address.tls):
            return fail("TLS", f"{address}: {problem}", "name an existing PEM file in HANNER_BROKER_URL")
        if address.tls["ssl_cert_reqs"] is not ssl.CERT_REQUIRED:
            return warn("TLS", f"{address}: the server's certificate is not verified", "use ssl_cert_reqs=required")
        return ok("TLS", f"{address}: encrypted, certificate verified")
    if all(_is_private(host) for host, _ in address.nodes):
        return ok("TLS", f"{address}: not encrypted, private address")
    return warn("TLS", f"{address}: texts and results are not encrypted", "use rediss://, or a private network")


def _tls_file_problem(tls: Mapping[str, Any]) -> str:
    """Return why the files of certificates and keys cannot be used; empty if they can."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authorities = {"cafile": tls.get("ssl_ca_certs"), "capath": tls.get("ssl_ca_path")}
    certificate, key = tls.get("ssl_certfile"), tls.get("ssl_keyfile")
    try:
        if path := authorities["capath"]:
            list(Path(path).iterdir())  # OpenSSL ignores a missing folder
        if any(authorities.values()):
            context.load_verify_locations(**authorities)
    except (OSError, ssl.SSLError) as error:
        return f"{' and '.join(filter(None, authorities.values()))} cannot be read as certificates ({_reason(error)})"
    try:
        if certificate:
            context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        files = " and ".join(filter(None, (certificate, key)))
        return f"{files} cannot be read as certificate and key ({_reason(error)})"
    return ""


def _reason(error: OSError) -> str:
    return error.strerror or str(error)


def _is_private(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return "." not in host  # localhost, and names inside a compose project or a cluster


def unreachable(error: Exception, address: BrokerAddress) -> CheckResult:
    """Return why the server is unreachable, or cannot be used."""
    if (reason := unsupported_reason(error)) is not None:
        finding, _, fix = reason.partition("; ")
        return fail("Redis", f"{address}: {finding}", fix)
    return fail("Redis", f"{address} does not answer: {_one_line(error)}", _fix_of(error))


def _fix_of(error: Exception) -> str:
    text = str(error).lower()
    if isinstance(error, AuthenticationError | AuthorizationError) or "noauth" in text or "wrongpass" in text:
        return "put the password into HANNER_BROKER_URL: redis://:PASSWORD@HOST:PORT/0"
    if "certificate" in text:
        return "name the CA with rediss://HOST:PORT/0?ssl_ca_certs=FILE, and use a host name of the certificate"
    if "ssl" in text or "wrong version number" in text:
        return "use rediss:// for a port with TLS, redis:// for one without"
    if "name or service not known" in text or "getaddrinfo" in text or "name resolution" in text:
        return "the host name cannot be resolved; correct HANNER_BROKER_URL"
    if isinstance(error, RedisError) and "loading" in text:
        return "Redis is loading its data; wait and try again"
    return "start Redis (hanner up starts one), or set HANNER_BROKER_URL to its address"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def check_server(info: Mapping[str, Any]) -> Iterator[CheckResult]:
    """Check a server by its INFO; CONFIG is not used, because managed servers may deny it."""
    yield _check_version(info)
    if info.get("cluster_enabled"):
        yield fail("Redis", "it is a cluster", "use a single server, or Sentinel: sentinel://; Celery needs that")
    if info.get("role") == "slave":
        yield fail("Redis", "it is a replica and read-only", "use its master, or sentinel:// to find it")
    yield _check_eviction(info)
    yield _check_memory(info)
    yield _check_persistence(info)


def _version(info: Mapping[str, Any]) -> tuple[str, str, tuple[int, ...]]:
    """Return the server's name, its version, and the version's numbers."""
    name, key = ("Valkey", "valkey_version") if "valkey_version" in info else ("Redis", "redis_version")
    version = str(info.get(key, "0"))
    return name, version, tuple(int(part) for part in version.split(".") if part.isdigit())


def _check_version(info: Mapping[str, Any]) -> CheckResult:
    name, version, numbers = _version(info)
    if numbers < MIN_REDIS:
        return fail("Redis", f"{name} {version}", "install Redis 7.0 or newer, or Valkey")
    return ok("Redis", f"{name} {version}, {int(info.get('connected_clients', 0)):,} connections")


def _check_eviction(info: Mapping[str, Any]) -> CheckResult:
    policy = str(info.get("maxmemory_policy", "unknown"))
    if policy in {"noeviction", "unknown"}:
        return ok("eviction", f"maxmemory-policy {policy}")
    fix = "CONFIG SET maxmemory-policy noeviction; otherwise Redis deletes results and queues when memory is short"
    return (warn if policy.startswith("volatile") else fail)("eviction", f"maxmemory-policy {policy}", fix)


def _check_memory(info: Mapping[str, Any]) -> CheckResult:
    used, limit = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    if not limit:
        return ok("memory", f"{used / 2**20:,.0f} MB used, no limit")
    message = f"{used / 2**20:,.0f} of {limit / 2**20:,.0f} MB used"
    if used > MEMORY_WARN * limit:
        return warn("memory", message, "raise maxmemory, or start more workers; at the limit, requests are rejected")
    return ok("memory", message)


def _check_persistence(info: Mapping[str, Any]) -> CheckResult:
    if not info.get("aof_enabled"):
        fix = "CONFIG SET appendonly yes; otherwise a restart of Redis loses all data since its last snapshot"
        return warn("persistence", "appendonly no", fix)
    if info.get("aof_last_write_status", "ok") != "ok":
        return fail("persistence", "the last write of the append-only file failed", "free space on the server's disk")
    return ok("persistence", "appendonly yes")


def loads_as_default_user(info: Mapping[str, Any]) -> bool:
    """Return whether what a server loads at its start depends on the permissions of the user `default`."""
    name, _, numbers = _version(info)
    return bool(info.get("aof_enabled")) and numbers < LOADS_ALL[name]


def check_default_user(info: Mapping[str, Any], rules: Mapping[str, Any] | None) -> CheckResult:
    """Check that a server, whose loading depends on it, can load all of its append-only file.

    Args:
        info: The server's INFO.
        rules: The reply of ACL GETUSER default, as redis-py returns it; None if that is not permitted.
    """
    name, version, _ = _version(info)
    message = f"{name} {version} loads its append-only file as the user default"
    fix = "as an administrator: ACL SETUSER default {}~* &* +@all, then ACL SAVE; see docs/how-to/redis.md"
    if rules is None:
        return warn("restart", f"{message}, whose permissions this client is not permitted to read", fix.format(""))
    granted = {"~*": rules["keys"], "&*": rules["channels"], "+@all": [*rules["categories"], *rules["commands"]]}
    missing = [rule for rule, words in granted.items() if not _has(words, rule)]
    if not missing:
        return ok("restart", f"{message}, which has all permissions")
    lost = f"which lacks {' '.join(missing)}: a restart loses results, acknowledgements and jobs"
    return fail("restart", f"{message}, {lost}", fix.format("" if rules.get("enabled") else "off resetpass "))


def _has(words: Sequence[str], rule: str) -> bool:
    return rule in words and not any(word.startswith("-") for word in words)


def clock_skew(other: float, before: float, after: float) -> float:
    """Return the minimum error in seconds of another clock, which was read between two readings of this one."""
    return max(before - other, other - after, 0.0)


def check_clock(server_time: float, before: float, after: float) -> CheckResult:
    """Compare Redis's clock with this machine's; all times in Unix seconds."""
    seconds = clock_skew(server_time, before, after)
    message = f"{seconds:.1f} s difference between Redis's clock and this machine's"
    if seconds >= SKEW_WARN:
        fix = "synchronise both with NTP; otherwise requests expire too early or too late"
        return (fail if seconds >= SKEW_FAIL else warn)("clock", message, fix)
    return ok("clock", message)
