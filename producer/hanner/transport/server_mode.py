"""Which kind of server a connection reached. hanner needs a single server: its scripts use keys of several slots."""

from contextlib import suppress
from typing import Any

from redis.exceptions import AskError, ClusterCrossSlotError, ClusterDownError, ResponseError

CLUSTER = (
    "it is a Redis Cluster, where requests and results would be on different nodes; use a single Redis, or Sentinel"
)
SENTINEL = "it is a Sentinel and has no queue; write sentinel:// instead of redis:// in HANNER_BROKER_URL"
NO_SENTINEL = "it is not a Sentinel; write redis:// instead of sentinel:// in HANNER_BROKER_URL"


class UnsupportedServerError(ResponseError):
    """The server is of a kind that hanner cannot use; the message names it."""


def is_cluster_error(error: BaseException) -> bool:
    """Return whether only a Redis Cluster replies with this error."""
    by_class = isinstance(error, AskError | ClusterCrossSlotError | ClusterDownError)  # MovedError is an AskError
    return by_class or (isinstance(error, ResponseError) and "in cluster mode" in str(error))  # SELECT


def unsupported_reason(error: BaseException) -> str | None:
    """Return why a server cannot be used, and what to do, if an error shows that; else None."""
    if isinstance(error, UnsupportedServerError):
        return str(error)
    if is_cluster_error(error):
        return CLUSTER
    text = str(error).lower()
    if isinstance(error, ResponseError) and "unknown command" in text and "sentinel" in text:
        return NO_SENTINEL
    return None


def check_mode(connection: Any) -> None:
    """Raise UnsupportedServerError if an open connection of redis-py has reached a cluster or a sentinel."""
    mode = ""
    with suppress(ResponseError):  # a proxy without HELLO
        connection.send_command("HELLO")
        mode = mode_of(connection.read_response())
    if mode in ("cluster", "sentinel"):
        raise UnsupportedServerError(CLUSTER if mode == "cluster" else SENTINEL)


def check_mode_of(pool: Any) -> None:
    """Use a connection of a pool, and raise UnsupportedServerError as `check_mode` does.

    Raises:
        RedisError: Redis is unreachable.
    """
    connection = pool.get_connection()
    try:
        check_mode(connection)
    finally:
        connection.disconnect()
        pool.release(connection)


def mode_of(reply: Any) -> str:
    """Return the mode in the reply of HELLO: standalone, cluster or sentinel; empty if it has none."""
    pairs = reply if isinstance(reply, dict) else dict(zip(reply[::2], reply[1::2], strict=False))
    mode = pairs.get(b"mode", pairs.get("mode", ""))
    return mode.decode() if isinstance(mode, bytes) else str(mode)
