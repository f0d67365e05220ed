"""TCP ports of the loopback interface, for servers that need one before they start."""

import contextlib
import random
import socket

FIRST, LAST = 10_000, 32_000
"""Below the ports that Linux gives to outgoing connections, so that a server finds its port free after a restart."""


def free_port():
    """Return a port that is free now and that no other process of the tests gets while this one runs.

    Test processes run side by side. Each claims its ports with UDP sockets that stay open until it exits.
    """
    while True:
        port = random.SystemRandom().randint(FIRST, LAST)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            with socket.socket(type=socket.SOCK_DGRAM) as claim:
                claim.bind(("127.0.0.1", port))
                claim.detach()  # keeps the descriptor open
            return port
