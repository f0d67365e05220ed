"""Redis servers that a plan can break: kill, freeze, cut off from the disk, or give a wrong clock."""

import contextlib
import os
import resource
import signal
from pathlib import Path

import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from hanner.cli.local_redis import find_server
from hanner.utils import processes
from support.ports import free_port
from support.waiting import wait_until

TIMEOUT = 30.0
LIBFAKETIME = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)
"""On Debian: apt-get install libfaketime. None: not installed."""


class RedisProcess:
    """A server with append-only persistence on a free port. `options` are settings of redis.conf.

    The server ignores SIGXFSZ, so that a limit on file size looks like a full disk.
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
            encoding_errors="replace",  # fuzzed messages may not be valid UTF-8
            socket_timeout=60,
            retry=Retry(ConstantBackoff(0.02), 1500),
            retry_on_error=[redis.ConnectionError, redis.exceptions.BusyLoadingError],
        )

    @property
    def brokers(self):
        """The brokers that have texts of their own; each has a `client` and a `port`."""
        return [self]

    def start(self, *, wait=True, **options):
        """Start or restart the server; `wait` until it answers and has loaded its data."""
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
        def log():
            return processes.last_lines(self.folder / "server.log")

        with contextlib.closing(redis.Redis(port=self.port, socket_timeout=1.0)) as client:

            def answers():
                assert self.process.poll() is None, f"the server did not start: {log()}"
                return client.ping()

            wait_until(answers, why=log, ignore=redis.RedisError)

    def kill(self):
        """Kill the server when all confirmed commands are in its file.

        With `everysec`, Redis delays writes while an fsync runs, so a kill at that moment loses confirmed commands, and
        results are announced twice: see docs/explanation/reliability.md. With `no`, it never delays them.
        """
        if self._options["appendfsync"] == "everysec" and not self._sentinel:
            self.client.config_set("appendfsync", "no")
        self.process.kill()
        self.process.wait()

    def terminate(self):
        """Stop the server as `systemctl stop` does: it writes its data first."""
        self.process.terminate()
        self.process.wait(TIMEOUT)

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def limit_file_size(self, bytes_):
        """Simulate a full disk: no file can grow beyond this size. -1 removes the limit."""
        _, hard = resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (bytes_, hard))

    def append_only_file(self):
        """Return the path of the append-only file that is being written."""
        files = sorted((self.folder / "appendonlydir").glob("*.incr.aof"), key=lambda path: path.stat().st_mtime)
        return files[-1]

    def close(self):
        self.client.close()
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.thaw()
            processes.stop(self.process, timeout=TIMEOUT)


class SeveralRedis:
    """Servers that share the texts, as several addresses in HANNER_BROKER_URL."""

    def __init__(self, folder, count=2):
        self.brokers = [RedisProcess(Path(folder) / str(number)) for number in range(count)]
        self.url = ",".join(broker.url for broker in self.brokers)

    def start(self):
        for broker in self.brokers:
            broker.start()
        return self

    def close(self):
        for broker in self.brokers:
            broker.close()


class ShiftedClockRedis(RedisProcess):
    """A RedisProcess whose wall clock can be shifted, if libfaketime is installed."""

    def __init__(self, folder):
        self._clock = Path(folder) / "clock"
        super().__init__(folder, env=self._environment() if LIBFAKETIME else {})
        self.shift_clock(0)

    def _environment(self):
        return {
            "LD_PRELOAD": str(LIBFAKETIME),
            "FAKETIME_TIMESTAMP_FILE": str(self._clock),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DONT_RESET": "1",
        }

    def shift_clock(self, seconds):
        """Set the difference between the server's clock and the real time."""
        self._clock.write_text(f"{seconds:+d}", "ascii")
