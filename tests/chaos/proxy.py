"""A TCP proxy in front of Redis that resets connections in the middle of commands and replies."""

import asyncio
import socket
import struct
import threading

from chaos.redis_servers import RedisProcess

NO_LINGER = struct.pack("ii", 1, 0)
"""Closing the socket sends RST at once and discards unsent data."""


class ProxiedRedis(RedisProcess):
    """A RedisProcess whose `url` is that of the proxy; `client` connects directly."""

    def __init__(self, folder):
        super().__init__(folder)
        self._loop = asyncio.new_event_loop()
        self._transports = set()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self, **options):
        super().start(**options)
        if not self._thread.is_alive():
            self._thread.start()
            assert self._started.wait(60)
        return self

    def _run(self):
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        port = server.sockets[0].getsockname()[1]
        self.url = f"redis://127.0.0.1:{port}/0"
        self._started.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _serve(self, reader, writer):
        try:
            upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            writer.transport.abort()
            return
        pair = {writer.transport, upstream_writer.transport}
        self._transports |= pair
        await asyncio.gather(_pump(reader, upstream_writer), _pump(upstream_reader, writer))
        self._transports -= pair

    def reset(self):
        """Reset all connections on both sides, even in the middle of a command or reply."""
        self._loop.call_soon_threadsafe(self._reset)

    def _reset(self):
        for transport in list(self._transports):
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
            transport.abort()

    def close(self):
        if self._thread.is_alive():
            self._reset_and_stop()
            self._thread.join(60)
        super().close()

    def _reset_and_stop(self):
        self.reset()
        self._loop.call_soon_threadsafe(self._loop.stop)


async def _pump(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except (OSError, asyncio.CancelledError):
        pass
    finally:
        writer.close()
