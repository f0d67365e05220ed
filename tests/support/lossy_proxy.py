"""A TCP proxy in front of Redis that can lose the reply to a message, and then refuse connections."""

import select
import socket
import threading
from contextlib import suppress

from support.ports import free_port


class LossyProxy:
    """Forwards connections to a port of this machine.

    Attributes:
        url: Its URL for HANNER_BROKER_URL.
        lost: Set when a reply was lost.
    """

    def __init__(self, port):
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", free_port()))
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"
        self._loses = self._refuses = self._closed = False
        self.lost = threading.Event()
        self._threads = []

    def __enter__(self):
        self._start(self._accept)
        return self

    def __exit__(self, *_):
        self._closed = True
        with suppress(OSError):
            socket.create_connection(self._listener.getsockname()).close()
        for thread in self._threads:
            thread.join(60)
        self._listener.close()

    def lose(self):
        """Close the connection of the next message when Redis has confirmed it, and refuse connections then."""
        self._loses = True

    def restore(self):
        """Accept connections again."""
        self._loses = self._refuses = False

    def _start(self, target, *args):
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self):
        while not self._closed:
            client, _ = self._listener.accept()
            if self._refuses or self._closed:
                client.close()
            else:
                self._start(self._forward, client)

    def _forward(self, client):
        with suppress(OSError), client, socket.create_connection(("127.0.0.1", self._target)) as server:
            loses = False
            while not (self._closed or self._refuses):
                for each in select.select([client, server], [], [], 0.05)[0]:
                    data = each.recv(1 << 16)
                    if not data:
                        return
                    if each is client:
                        loses = self._loses and b"LPUSH" in data
                        server.sendall(data)
                    elif loses:
                        self._refuses = True
                        self.lost.set()
                        return
                    else:
                        client.sendall(data)
