"""The configuration of Celery, for client and worker. Opens no connection and reads no environment variables."""

import re
import ssl
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from celery import Celery
from kombu.utils.url import sanitize_url
from redis.backoff import NoBackoff
from redis.retry import Retry

from hanner.errors import InvalidSettings
from hanner.settings import Settings
from hanner.transport.isolation import IsolatedCelery

SCHEMES = ("redis", "rediss", "sentinel", "redis+socket")
DEFAULT_MASTER = "mymaster"
"""Name of the master that sentinels are asked for, unless the URL has `?master_name=…`."""
_ADDRESS = re.compile(r"(?P<host>[\w.-]*|\[[\da-fA-F:.]+\])(?P<port>:[^/]*)?(?P<database>/[\w.-]*)?")
"""Host, port and database of an invalid URL, to be shown in an error."""


def make_celery(settings: Settings) -> Celery:
    """Return a Celery app for client or worker. It opens nothing and does not become Celery's current app.

    Args:
        settings: Broker, queue, timeouts and result lifetime.

    Raises:
        InvalidSettings: the broker's URL is invalid.
    """
    url, master = split_url(settings.broker_url)
    app = IsolatedCelery("hanner")
    app.conf.update(
        broker_url=url,
        result_backend=url,
        **_serialization(),
        **_task_routes(settings),
        **_delivery(settings),
        **_connections(settings, master),
    )
    if url.startswith("rediss://") and "ssl_cert_reqs" not in url:
        # Celery requires this setting for rediss://.
        app.conf.update(
            broker_use_ssl={"ssl_cert_reqs": ssl.CERT_REQUIRED},
            redis_backend_use_ssl={"ssl_cert_reqs": ssl.CERT_REQUIRED},
        )
    return app


def split_url(url: str) -> tuple[str, str]:
    """Return a broker's URL without `master_name`, and the name of the sentinels' master.

    Raises:
        InvalidSettings: the URL is invalid, or Celery does not support its scheme for both queue and results.
    """
    parts = url.split(";")
    for problem in filter(None, map(_find_problem, parts)):
        raise InvalidSettings(f"HANNER_BROKER_URL cannot be used: {redact_url(url)!r}; {problem}")
    master = DEFAULT_MASTER
    for number, part in enumerate(parts):
        address, _, query = part.partition("?")
        options = dict(parse_qsl(query))
        master = options.pop("master_name", master)
        parts[number] = f"{address}?{urlencode(options)}" if options else address
    return ";".join(parts), master


def _find_problem(url: str) -> str | None:
    """Return how to correct a URL, or None if it is valid."""
    try:
        parts = urlsplit(url)
    except ValueError:  # brackets that do not enclose an IPv6 address
        return "the host must be a name, an IPv4 address, or an IPv6 address in brackets"
    if parts.scheme not in SCHEMES:
        return "write redis://HOST:PORT/DB, rediss:// for TLS, sentinel://, or redis+socket:///PATH"
    if "@" in parts.path + parts.fragment and parts.scheme != "redis+socket":
        return "write special characters of the password in percent-encoding, such as %2F for /"
    try:
        is_valid_port = parts.port != 0
    except ValueError:
        is_valid_port = False
    if not is_valid_port:
        return "the port must be a number from 1 to 65535, as in redis://localhost:6379/0"
    if parts.scheme == "redis+socket":
        database = dict(parse_qsl(parts.query)).get("virtual_host", "")
        example = "redis+socket:///run/redis.sock?virtual_host=0"
    else:
        database, example = parts.path.strip("/"), "redis://localhost:6379/0"
    if database and not (database.isascii() and database.isdecimal()):
        return f"the database must be a number, as in {example}"
    return None


def redact_url(url: str) -> str:
    """Return the URL with every password masked, for logs and errors."""
    parts = url.split(";")
    if not all("://" in part for part in parts[1:]):  # a semicolon in a password
        scheme, separator, _ = url.partition("://")
        return f"{scheme}://**" if separator else "**"
    return ";".join(map(_redact_part, parts))


def _redact_part(url: str) -> str:
    if "://" not in url:
        return f"**@{url.rpartition('@')[2]}" if "@" in url else url
    try:
        parts = urlsplit(url)
        if "@" not in parts.path + parts.query + parts.fragment:
            return str(sanitize_url(url))
    except ValueError:  # an invalid port or host
        pass
    return _redact_invalid(url)


def _redact_invalid(url: str) -> str:
    """Return scheme, host, numeric port and database; anything else may be part of a password."""
    scheme, _, rest = url.partition("://")
    _, at, address = rest.rpartition("@")
    match = _ADDRESS.fullmatch(address.partition("?")[0])
    if match is None:
        return f"{scheme}://**"
    port = match["port"] or ""
    if not port[1:].isdecimal():
        port = port and ":**"
    return f"{scheme}://{at and '**@'}{match['host']}{port}{match['database'] or ''}"


def _serialization() -> dict[str, Any]:
    """Return settings that allow only JSON in messages, results and events."""
    return {
        "task_protocol": 2,
        "task_serializer": "json",
        "result_serializer": "json",
        "event_serializer": "json",
        "accept_content": ["json"],
        "result_accept_content": ["json"],
        "result_extended": False,  # it would copy the text into every result
        "task_remote_tracebacks": False,
        "enable_utc": True,
        "timezone": "UTC",
    }


def _task_routes(settings: Settings) -> dict[str, Any]:
    # All other tasks are next steps, which belong to the caller's app: they go to Celery's default queue.
    return {"task_routes": {"hanner.*": {"queue": settings.queue}}}


def _delivery(settings: Settings) -> dict[str, Any]:
    return {
        "task_acks_late": True,
        "task_send_sent_event": False,
        "worker_send_task_events": True,
        "result_expires": settings.result_ttl,
    }


def _connections(settings: Settings, master: str) -> dict[str, Any]:
    """Return timeouts for every kind of outage: refused, no reply, or packets dropped by a firewall."""
    seconds = settings.connect_timeout
    options = {
        "socket_timeout": seconds,
        "socket_connect_timeout": seconds,
        "socket_keepalive": True,
        "health_check_interval": 10,
        "master_name": master,
        # One attempt to connect a channel; kombu's default is unlimited. The worker's consumer retries without limit
        # (below), and the client retries on its own.
        "max_retries": 0,
    }
    return {
        "broker_connection_timeout": seconds,
        "broker_connection_retry": True,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,  # a worker survives any outage of Redis
        "broker_transport_options": options,
        "task_publish_retry": True,
        "task_publish_retry_policy": {
            "max_retries": 3,
            "interval_start": 0,
            "interval_step": 0.2,
            "interval_max": 0.5,
        },
        "redis_socket_timeout": seconds,
        "redis_socket_connect_timeout": seconds,
        "redis_socket_keepalive": True,
        "redis_backend_health_check_interval": 10,
        "result_backend_transport_options": {
            "master_name": master,
            # Celery's default has no timeout for sentinels, and redis-py's has several retries.
            "sentinel_kwargs": {
                "socket_timeout": seconds,
                "socket_connect_timeout": seconds,
                "retry": Retry(NoBackoff(), 0),
            },
        },
    }
