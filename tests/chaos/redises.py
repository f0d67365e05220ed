"""A Redis to be broken: killed, frozen, cut off from its disk, with its clock turned."""

import contextlib
import os
import resource
import signal
import subprocess
import time
from pathlib import Path

import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from hanner.cli.local_redis import find_server
from hanner.utils import processes
from support.ports import free_port

PATIENCE = 30.0


class RedisProcess:
    """A server with append-only persistence on a free port; `options` are of redis.conf.

    SIGXFSZ is ignored, so that a limit on file size is to the server what a full disk is.
    """

    def __init__(self, folder, *, port=None, env=None, sentinel=False, **options):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = port or free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.env = env or {}
        self._sentinel = sentinel
        self._options = {"appendonly": "yes", "appendfsync": "everysec", "save": "", "maxmemory-policy": "noeviction"}
        self._options |= {name.replace("_", "-"): value for name, value in options.items()}
        self.process = None
        self.client = redis.Redis(
            port=self.port,
            decode_responses=True,
            encoding_errors="replace",  # fuzzed messages are no text
            socket_timeout=60,
            retry=Retry(ConstantBackoff(0.02), 1500),
            retry_on_error=[redis.ConnectionError, redis.exceptions.BusyLoadingError],
        )

    def start(self, *, wait=True, **options):
        """Start it, or start it again with its data; `wait` until it answers and is not loading."""
        settings = {"port": self.port, "bind": "127.0.0.1", "dir": self.folder, "daemonize": "no"}
        settings |= {} if self._sentinel else self._options
        settings |= {name.replace("_", "-"): value for name, value in options.items()}
        flags = [part for name, value in settings.items() for part in (f"--{name}", str(value))]
        conf = [str(self.folder / "sentinel.conf"), "--sentinel"] if self._sentinel else []
        command = ["sh", "-c", 'trap "" XFSZ; exec "$0" "$@"', find_server(), *conf, *flags]
        with (self.folder / "server.log").open("ab") as log:
            self.process = processes.start(command, output=log, env={**os.environ, **self.env})
        if wait:
            self.wait()
        return self

    def wait(self):
        until = time.monotonic() + PATIENCE
        with contextlib.closing(redis.Redis(port=self.port, socket_timeout=1.0)) as client:
            while time.monotonic() < until:
                with contextlib.suppress(redis.RedisError):
                    client.ping()
                    return
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(0.02)
                    break
        raise RuntimeError(f"no server: {processes.last_lines(self.folder / 'server.log')}")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def terminate(self):
        """End it as `systemctl stop` does: all is written."""
        self.process.terminate()
        self.process.wait(PATIENCE)

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def limit_files(self, bytes_):
        """Let no file grow beyond so many bytes: the disk is full. -1 lifts the limit."""
        _, hard = resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (bytes_, hard))

    def log(self):
        """Return the append-only file that is being written."""
        files = sorted((self.folder / "appendonlydir").glob("*.incr.aof"), key=lambda path: path.stat().st_mtime)
        return files[-1]

    def close(self):
        self.client.close()
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.thaw()
            processes.stop(self.process, timeout=PATIENCE)
