"""Redis servers with custom options: a single one, and a master with a replica and a sentinel."""

import os
import signal
import subprocess
from contextlib import ExitStack, contextmanager

import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from hanner.cli.local_redis import find_server
from support.ports import free_port
from support.waiting import wait_until


class BareServer:
    """A server process. `client` retries while the server starts or restarts."""

    def __init__(self, folder, *options, port=None):
        self.folder = folder
        self.port = port or free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._options = options
        self.client = redis.Redis(
            port=self.port,
            decode_responses=True,
            socket_timeout=None,
            retry=Retry(ConstantBackoff(0.02), 1000),
            retry_on_error=[redis.ConnectionError],
        )
        self.start()

    def start(self, *more):
        """Start or restart the server without waiting until it has loaded its data."""
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder), "--save", ""]
        with (self.folder / f"{self.port}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [find_server(), *self._configuration(), *options, *self._options, *more],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )

    def _configuration(self):
        return ()

    def kill(self):
        self.process.kill()
        self.process.wait()

    @contextmanager
    def frozen(self):
        os.kill(self.process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.process.pid, signal.SIGCONT)

    def close(self):
        self.client.close()
        if self.process.poll() is None:
            self.kill()


def shorten_periods(sentinel):
    """Make a sentinel check its servers ten times a second. Usually it sees a finished failover after ten seconds."""
    periods = {"INFO-PERIOD": 100, "PING-PERIOD": 100, "ASK-PERIOD": 100, "PUBLISH-PERIOD": 200}  # milliseconds
    sentinel.execute_command("SENTINEL", "DEBUG", *(part for option in periods.items() for part in option))


class Sentinel(BareServer):
    """A sentinel that monitors a master under the name mymaster, with a quorum of 1."""

    def __init__(self, folder, master):
        self._file = folder / "sentinel.conf"
        self._file.write_text(
            f"sentinel monitor mymaster 127.0.0.1 {master.port} 1\n"
            "sentinel down-after-milliseconds mymaster 500\n"
            "sentinel failover-timeout mymaster 2000\n"
        )
        super().__init__(folder, "--sentinel")
        self.url = f"sentinel://127.0.0.1:{self.port}/0"

    def start(self, *more):
        command = [find_server(), str(self._file), "--sentinel", "--port", str(self.port), "--bind", "127.0.0.1"]
        with (self.folder / "sentinel.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        shorten_periods(self.client)

    def master(self):
        """Return the port of the server that it considers the master."""
        return int(self.client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "mymaster")[1])


@contextmanager
def bare_server(folder, *options):
    server = BareServer(folder, *options)
    try:
        yield server
    finally:
        server.close()


@contextmanager
def watched_pair(folder):
    """Yield a master, a replica that is in sync, and a sentinel that knows both."""
    with ExitStack() as stack:
        master = stack.enter_context(bare_server(folder, "--repl-diskless-sync-delay", "0"))
        replica = stack.enter_context(bare_server(folder, "--replicaof", f"127.0.0.1 {master.port}"))
        wait_until(lambda: replica.client.info("replication").get("master_link_status") == "up")
        sentinel = Sentinel(folder, master)
        stack.callback(sentinel.close)
        wait_until(lambda: sentinel.client.sentinel_masters()["mymaster"]["num-slaves"] >= 1)
        yield master, replica, sentinel
