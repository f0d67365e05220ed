"""Run a Redis with TLS: the server of the tests if it supports TLS, else that server behind a TLS proxy."""

import contextlib
import os
import select
import socket
import ssl
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path

import redis

from hanner.cli.local_redis import find_server
from hanner.utils import processes
from support.ports import free_port
from support.servers import redis_server, require_server
from support.waiting import wait_until

PASSWORD = "hush"


@dataclass(frozen=True)
class TlsServer:
    """Address and self-signed certificate of a running server."""

    port: int
    certificate: Path
    password: str

    @property
    def url(self):
        return f"{self.bare_url}?ssl_ca_certs={self.certificate}"

    @property
    def bare_url(self):
        """The URL without a CA file: the system's authorities are used, which did not sign the certificate."""
        return f"rediss://:{self.password}@127.0.0.1:{self.port}/0"


def make_certificate(folder):
    """Write cert.pem and key.pem for 127.0.0.1 and return their paths."""
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=redis"
    names = ["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run([*command.split(), *names, *files], check=True, capture_output=True)
    return folder / "cert.pem", folder / "key.pem"


@contextlib.contextmanager
def tls_server(folder):
    """Run a server with TLS; if the server of the tests was built without TLS, a proxy in front of it adds TLS."""
    certificate, key = make_certificate(folder)
    require_server()
    with _native(find_server(), folder, certificate, key) as server:
        if server is not None:
            yield server
            return
    with redis_server() as plain, _TlsProxy(plain.port, certificate, key) as proxy:
        plain.client.config_set("requirepass", PASSWORD)
        yield TlsServer(proxy.port, certificate, PASSWORD)


@contextlib.contextmanager
def _native(program, folder, certificate, key):
    """Run a server with TLS only. Yield None if it was built without TLS."""
    port = free_port()
    options = {
        "port": 0, "tls-port": port, "bind": "127.0.0.1", "dir": folder, "requirepass": PASSWORD, "save": "",
        "tls-cert-file": certificate, "tls-key-file": key, "tls-auth-clients": "no",
    }  # fmt: skip
    command = [program, *(part for name, value in options.items() for part in (f"--{name}", str(value)))]
    with (folder / "server.log").open("wb") as log:
        process = processes.start(command, output=log, env=dict(os.environ))
    server = TlsServer(port, certificate, PASSWORD)

    def ended_or_answers():
        if process.poll() is not None:
            return "ended"
        with redis.Redis.from_url(server.url) as client:
            return client.ping() and "answers"

    try:
        yield server if wait_until(ended_or_answers, ignore=redis.ConnectionError) == "answers" else None
    finally:
        processes.stop(process, timeout=10)


class _TlsProxy:
    """Terminates TLS in front of a port, with one thread per connection."""

    def __init__(self, port, certificate, key):
        self._upstream = port
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, key)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._open = set()
        self._threads = [threading.Thread(target=self._accept)]

    def __enter__(self):
        self._threads[0].start()
        return self

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        self._listener.close()
        for one in list(self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                one, _ = self._listener.accept()
                thread = threading.Thread(target=self._serve, args=(one,))
                self._threads.append(thread)
                thread.start()

    def _serve(self, one):
        self._open.add(one)
        try:
            with self._context.wrap_socket(one, server_side=True) as near:
                self._open.discard(one)
                self._open.add(near)
                with socket.create_connection(("127.0.0.1", self._upstream)) as far:
                    _forward(near, far)
                self._open.discard(near)
        except OSError:  # the client rejected the certificate or disconnected
            self._open.discard(one)
            one.close()


def _forward(near, far):
    while True:
        if not near.pending():
            readable, _, _ = select.select([near, far], [], [])
            if far in readable:
                data = far.recv(65536)
                if not data:
                    return
                near.sendall(data)
            if near not in readable:
                continue
        data = near.recv(65536)
        if not data:
            return
        far.sendall(data)
