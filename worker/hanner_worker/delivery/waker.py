"""A second connection of a channel's: it waits on the bulk list while the first waits on the interactive one.

Redis lets a connection wait on several lists only if it takes what comes, and `BLMOVE`, which here takes nothing, waits
on one. So when something comes into the bulk list, the first connection's wait is ended, and the step behind it looks
at all lists. Without this a lone bulk message would wait for up to a second.
"""

import logging
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any

from redis.exceptions import NoPermissionError, RedisError, ResponseError

if TYPE_CHECKING:
    from hanner_worker.delivery.channel import ReliableChannel

logger = logging.getLogger(__name__)

WAKE = "WAKE"
"""The kind of connection, where kombu has BRPOP and LISTEN."""


class Waker:
    """Wakes a channel whose own connection waits elsewhere.

    Attributes:
        list: the list to wait on; None for none.
        waiting: a wait has been sent and not been answered.
        refused: Redis does not let its user end a wait, so there is no use in this.
    """

    def __init__(self, channel: "ReliableChannel") -> None:
        self._channel = channel
        self.list: str | None = None
        self.waiting = False
        self.refused = False

    @cached_property
    def client(self) -> Any:
        """The connection's client, as kombu makes those that its poller looks after."""
        return self._channel._create_client(asynchronous=True)  # noqa: SLF001

    def wait(self) -> None:
        """Ask Redis to say when there is something in the list.

        Raises:
            RedisError: the connection is lost.
        """
        self.client.connection.send_command(
            "BLMOVE", self.list, self.list, "RIGHT", "RIGHT", self._channel.brpop_timeout
        )
        self.waiting = True

    def on_readable(self) -> None:
        """Read what Redis said. If there is something, end the channel's wait.

        Raises:
            RedisError: the connection is lost.
        """
        self.waiting = False
        connection = self.client.connection
        try:
            there = self.client.parse_response(connection, "BLMOVE") is not None
        except ResponseError:  # the channel's own wait is refused as well, and says so
            self.list = None
            return
        except RedisError:
            connection.disconnect()
            raise
        if there and (blocked := self._channel.blocked) is not None:
            connection.send_command("CLIENT", "UNBLOCK", blocked)
            try:
                self.client.parse_response(connection, "CLIENT UNBLOCK")
            except NoPermissionError:
                self.refused = True
                logger.warning(
                    "Redis refuses CLIENT UNBLOCK; allow it (+client|unblock), or lone bulk work waits a second"
                )

    def close(self) -> None:
        """Close the connection."""
        client = self.__dict__.get("client")
        if client is not None and client.connection is not None:
            with suppress(RedisError, OSError):
                client.connection.disconnect()
        self.list, self.waiting = None, False
