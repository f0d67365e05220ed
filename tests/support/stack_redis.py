"""Run a server as the containers do: with compose/redis/redis.conf, and the users that make_secrets.py writes."""

import importlib.util
import subprocess
from contextlib import contextmanager
from pathlib import Path

import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from hanner.cli.local_redis import find_server
from support.ports import free_port
from support.servers import require_server
from support.waiting import wait_until

COMPOSE = Path(__file__).parents[2] / "compose"
FOLDERS = ("redis", "admin", "worker", "gateway", "flower", "app", "grafana")
"""Folders of the secrets, one for each volume of compose.yaml."""
RECORDS = "~runs ~runners ~waiting ~deaths ~died:*"
"""Keys of the scripted model."""


def make_secrets():
    """Return the module compose/init/make_secrets.py."""
    spec = importlib.util.spec_from_file_location("make_secrets", COMPOSE / "init" / "make_secrets.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def secrets_folder(root):
    """Create the folders that `init` mounts, and return their parent."""
    for name in FOLDERS:
        (root / name).mkdir()
    return root


class StackRedis:
    """A server that can be stopped or killed, and restarted on the same port with its data.

    Args:
        folder: an empty folder.
    """

    def __init__(self, folder):
        self._folder = folder
        (folder / "data").mkdir()
        self.secrets = secrets_folder(folder)
        make_secrets().make(self.secrets, {})
        self._grant_records()
        self.port = free_port()
        self._process = None
        retry = {"retry": Retry(ConstantBackoff(0.02), 500), "retry_on_error": [redis.ConnectionError]}
        self.admin = redis.Redis.from_url(self.url("admin"), decode_responses=True, **retry)

    def _grant_records(self):
        users = self.secrets / "redis" / "users.acl"
        users.chmod(0o640)
        lines = users.read_text("utf-8").splitlines()
        users.write_text(
            "".join(f"{line} {RECORDS if line.startswith('user worker ') else ''}\n" for line in lines), "utf-8"
        )

    def url(self, user):
        """Return the URL of a user."""
        url = (self.secrets / user / "broker-url").read_text("utf-8").strip()
        return url.replace("@redis:6379", f"@127.0.0.1:{self.port}")

    @property
    def log(self):
        """The server's whole log."""
        return (self._folder / "log").read_text("utf-8")

    def start(self):
        """Start the server and wait until it has loaded its data."""
        text = (COMPOSE / "redis" / "redis.conf").read_text("utf-8")
        here = {
            "dir /data": f"dir {self._folder / 'data'}",
            "aclfile /run/secrets/hanner": f"aclfile {self.secrets / 'redis'}",
            "bind * -::*": "bind 127.0.0.1",
            "port 6379": f"port {self.port}",
        }
        for setting, replacement in here.items():
            text = text.replace(setting, replacement)
        (self._folder / "redis.conf").write_text(f"{text}logfile {self._folder / 'log'}\n", "utf-8")
        self._process = subprocess.Popen([find_server(), self._folder / "redis.conf"])
        with redis.Redis.from_url(self.url("admin"), retry=Retry(ConstantBackoff(0), 0)) as client:
            wait_until(lambda: _answers(client) or self._process.poll() is not None, 60)
        assert self._process.poll() is None, self.log

    def stop(self, *, kill=False):
        """Stop the server, or kill it."""
        (self._process.kill if kill else self._process.terminate)()
        self._process.wait(60)

    def close(self):
        """Close the client and kill the server."""
        self.admin.close()
        self.stop(kill=True)


def _answers(client):
    try:
        return client.ping()
    except (redis.ConnectionError, redis.exceptions.BusyLoadingError):
        return False


@contextmanager
def stack_redis(folder):
    """Run a server with its data and secrets in an empty folder."""
    require_server()
    server = StackRedis(folder)
    try:
        server.start()
        yield server
    finally:
        server.close()
