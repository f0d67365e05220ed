"""A TCP proxy before Redis that resets connections in the middle of what they say."""

import asyncio
import socket
import struct
import threading

from chaos.redises import RedisProcess

LINGER_NOT = struct.pack("ii", 1, 0)
"""A closed socket sends RST at once, and forgets what it had not sent yet."""


class ProxiedRedis(RedisProcess):
    """A RedisProcess whose `url` leads through a proxy; `client` goes straight to it."""

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
            assert self._started.wait(10)
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
            there, back = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            writer.transport.abort()
            return
        pair = {writer.transport, back.transport}
        self._transports |= pair
        await asyncio.gather(_pump(reader, back), _pump(there, writer))
        self._transports -= pair

    def reset(self):
        """Reset all connections, on both sides, wherever they are in a command or a reply."""
        self._loop.call_soon_threadsafe(self._reset)

    def _reset(self):
        for transport in list(self._transports):
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
            transport.abort()

    def close(self):
        if self._thread.is_alive():
            self._reset_and_stop()
            self._thread.join(10)
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
