"""The configuration of Celery, for client and worker. Opens no connection and reads no environment variables."""

from typing import Any, Final

from celery import Celery
from redis.backoff import NoBackoff
from redis.retry import Retry

from hanner.address import BrokerAddress, parse_address, redact_url
from hanner.errors import InvalidSettings
from hanner.settings import Settings
from hanner.transport.isolation import IsolatedCelery

MAX_CONNECTIONS: Final = 2**31
"""Limit of a pool of connections: practically none. redis-py's default is 100, and its pools still count connections
that they dropped after a failover. `max_connections` in the URL takes precedence."""


def make_celery(settings: Settings) -> Celery:
    """Return a Celery app for client or worker. It opens nothing and does not become Celery's current app.

    Args:
        settings: Broker, queue, timeouts and result lifetime.

    Raises:
        InvalidSettings: the settings have several addresses.
    """
    address = only_address(settings)
    url = address.celery_url()
    app = IsolatedCelery("hanner")
    app.conf.update(
        broker_url=url,
        result_backend=url,
        **_serialization(),
        **_task_routes(settings),
        **_delivery(settings),
        **_connections(settings, address),
    )
    if address.tls is not None:
        app.conf.update(broker_use_ssl=dict(address.tls), redis_backend_use_ssl=dict(address.tls))
    return app


def only_address(settings: Settings) -> BrokerAddress:
    """Return the address of Redis, for what cannot use several.

    Raises:
        InvalidSettings: the settings have several addresses.
    """
    count = len(settings.per_address())
    if count > 1:
        raise InvalidSettings(
            f"HANNER_BROKER_URL has {count} addresses, {redact_url(settings.broker_url)}, and one is needed here; set "
            "the variable, or --broker, to one of them. Clients, `hanner worker` and `hanner gateway` use all of them"
        )
    return parse_address(settings.broker_url)


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


def _connections(settings: Settings, address: BrokerAddress) -> dict[str, Any]:
    """Return timeouts for every kind of outage: refused, no reply, or packets dropped by a firewall."""
    seconds = settings.connect_timeout
    timeouts = {"socket_timeout": seconds, "socket_connect_timeout": seconds, **address.timeouts}
    keepalive = not address.path  # a Unix socket has none
    options = {
        **timeouts,
        "socket_keepalive": keepalive,
        "health_check_interval": 10,
        "master_name": address.master,
        # kombu requeues what other apps left in its default keys, after its own timeout and not after theirs.
        **{f"unacked{name}_key": f"hanner:kombu:unacked{name}" for name in ("", "_index", "_mutex")},
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
        **{f"redis_{name}": value for name, value in timeouts.items()},
        "redis_socket_keepalive": keepalive,
        "redis_max_connections": MAX_CONNECTIONS,
        "redis_backend_health_check_interval": 10,
        "result_backend_transport_options": {
            "master_name": address.master,
            # Celery's default has no timeout for sentinels, and redis-py's has several retries.
            "sentinel_kwargs": {**timeouts, "retry": Retry(NoBackoff(), 0)},
        },
    }
