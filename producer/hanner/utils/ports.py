"""Whether a port can be listened on, asked before a server is started that would say it late or badly."""

import socket


def try_to_bind(host: str, port: int) -> None:
    """Bind a port for a moment, as a server would.

    Raises:
        socket.gaierror: the host is no address of this machine.
        OSError: the port is taken, or not to be had.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
