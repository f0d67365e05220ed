"""uvicorn's HTTP protocol with limits for clients that send or read slowly, which would keep connections for ever.

The time limit of bodies is in `access.py`, where a response can be sent.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

READ_TIMEOUT = 30.0
"""Seconds that a client has to send a request's headers; on a new connection they begin at once."""
WRITE_TIMEOUT = 60.0
"""Seconds after which a connection is closed if the client reads nothing of what it was sent."""
MAX_HEADER_BYTES = 65_536

_TIMED_OUT = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class LimitedProtocol(HttpToolsProtocol):
    """Closes connections whose client sends headers, or reads responses, too slowly."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._read_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._in_headers = False
        self._header_bytes = 0

    # asyncio.Protocol
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # noqa: D102
        super().connection_made(transport)
        self._read_timer = self.loop.call_later(READ_TIMEOUT, self._end, _TIMED_OUT)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: D102
        self._stop_timers()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:  # noqa: D102
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self.cycle is not None and not self.cycle.response_complete:
            return  # a request is in progress; its body has a limit of its own
        if self._read_timer is None:  # the start of the next request, or the rest of a body that was not read
            self._read_timer = self.loop.call_later(READ_TIMEOUT, self._end, _TIMED_OUT)
        self._header_bytes += len(data)
        if self._in_headers and self._header_bytes > MAX_HEADER_BYTES:
            self._end(_TOO_LARGE)

    def pause_writing(self) -> None:  # noqa: D102
        super().pause_writing()
        self._write_timer = self.loop.call_later(WRITE_TIMEOUT, self.transport.abort)

    def resume_writing(self) -> None:  # noqa: D102
        super().resume_writing()
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    # The parser's callbacks
    def on_message_begin(self) -> None:  # noqa: D102
        super().on_message_begin()
        self._in_headers, self._header_bytes = True, 0

    def on_headers_complete(self) -> None:  # noqa: D102
        self._in_headers = False
        if self._read_timer is not None:
            self._read_timer.cancel()
            self._read_timer = None
        super().on_headers_complete()

    def _end(self, response: bytes) -> None:
        """Close the connection, with a response if the client has sent a part of the headers."""
        if not self.transport.is_closing():
            if self._in_headers:
                self.transport.write(response)
            self.transport.close()

    def _stop_timers(self) -> None:
        for timer in (self._read_timer, self._write_timer):
            if timer is not None:
                timer.cancel()
        self._read_timer = self._write_timer = None
