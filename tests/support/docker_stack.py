"""The Docker Compose stack, started from a fresh clone, for tests."""

import base64
import json
import os
import shutil
import subprocess
import time
import urllib.request
from contextlib import suppress
from functools import cache
from pathlib import Path

from support.ports import free_port

ROOT = Path(__file__).parents[2]
HEALTHY_TIMEOUT = 180
"""Seconds to wait for all containers to become healthy."""


def run(*command, check=True, **kwargs):
    """Run a command and return the result. Its output is in the error if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **kwargs)
    assert not check or done.returncode == 0, (
        f"{' '.join(map(str, command))}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    )
    return done


@cache
def compose_commands():
    """Return the commands of all installed Compose versions, v2 first."""
    commands = []
    with suppress(OSError):
        if subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode == 0:
            commands.append(("docker", "compose"))
    if given := os.environ.get("DOCKER_COMPOSE"):
        commands.extend((path,) for path in given.split(os.pathsep))
    elif shutil.which("docker-compose"):
        commands.append(("docker-compose",))
    return commands


def docker_available():
    """Return whether a Docker engine is reachable."""
    return shutil.which("docker") is not None and run("docker", "info", check=False).returncode == 0


def clone(folder):
    """Copy the files of the working tree that are tracked or not ignored by git."""
    listed = run("git", "ls-files", "-co", "--exclude-standard", "-z", cwd=ROOT).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


class DockerStack:
    """A stack with its own clone, project name and ports.

    Args:
        folder: folder of the clone.
        project: the project name.
        profiles: additional profiles of compose.yaml to start.
    """

    def __init__(self, folder, project, *profiles):
        self.folder = folder
        self.project = project
        names = ("gateway", "flower", "redis", "prometheus", "grafana")
        self.ports = {name: free_port() for name in names}
        self._env = {
            **{name: value for name, value in os.environ.items() if not name.startswith("HANNER_")},
            **{f"{name.upper()}_PORT": str(port) for name, port in self.ports.items()},
            "COMPOSE_PROJECT_NAME": project,
        }
        files = [folder / "compose" / name for name in ("compose.yaml", "redis-port.yaml")]
        self._compose = [*compose_commands()[0], *(part for file in files for part in ("-f", str(file)))]
        self._compose += [part for profile in profiles for part in ("--profile", profile)]

    def compose(self, *arguments, check=True, env=None, files=(), **kwargs):
        """Run Compose for this stack with additional variables and files, and return its output."""
        more = [part for name in files for part in ("-f", str(self.folder / "compose" / name))]
        environment = self._env | (env or {})
        return run(*self._compose, *more, *arguments, check=check, env=environment, cwd=self.folder, **kwargs).stdout

    def script(self, name, *arguments, check=True, env=None):
        """Run a script of the folder compose for this stack with additional variables, and return the result."""
        environment = self._env | {"COMPOSE": " ".join(self._compose)} | (env or {})
        return run("sh", self.folder / "compose" / name, *map(str, arguments), check=check, env=environment)

    def containers(self, service):
        """Return the ids of a service's running containers."""
        return self.compose("ps", "-q", service).split()

    def container(self, service):
        """Return the id of the only container of a service."""
        (found,) = self.containers(service)
        return found

    def inspect(self, service):
        """Return the output of `docker inspect` for a service's containers."""
        return json.loads(run("docker", "inspect", *self.containers(service)).stdout)

    def execute(self, service, *command, check=True):
        """Run a command in the first container of a service, and return its output."""
        return run("docker", "exec", self.containers(service)[0], *command, check=check).stdout

    def wait_healthy(self, *services):
        """Wait until all containers of the services are healthy; return the seconds it took."""
        started = time.monotonic()
        while time.monotonic() - started < HEALTHY_TIMEOUT:
            healths = {
                (service, one["Id"][:12]): one["State"]["Health"]["Status"]
                for service in services
                for one in self.inspect(service)
            }
            if set(healths.values()) == {"healthy"}:
                return time.monotonic() - started
            time.sleep(0.5)  # no health event is passed on by both Compose versions
        raise AssertionError(f"not healthy: {healths}\n{self.compose('logs', '--no-color', '--tail', '40')}")

    def url(self, service, path=""):
        """Return the URL of a service on this machine."""
        return f"http://127.0.0.1:{self.ports[service]}{path}"

    def admin(self, *command):
        """Run a command of Redis as its administrator, and return the output."""
        return self.compose("run", "--rm", "--no-deps", "-T", "admin", "cli", *command)

    def set_secret(self, name, value):
        """Store a secret as in docs/how-to/containers.md."""
        command = ("python", "/etc/hanner/make_secrets.py", "/volumes/secrets", "set", name)
        self.compose("run", "--rm", "--no-deps", "-T", "init", *command, input=value)

    def create_job(self, texts):
        """Create a job of the gateway, and return its id."""
        body = json.dumps({"texts": texts}).encode()
        request = urllib.request.Request(
            self.url("gateway", "/api/v1/jobs"), body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read())["id"]

    def job(self, job_id):
        """Return a job of the gateway: its progress, and the documents once it is done."""
        return json.loads(get(self.url("gateway", f"/api/v1/jobs/{job_id}")))

    def broker_url(self):
        """Return the URL of Redis for programs on this machine, obtained as in docs/how-to/containers.md."""
        url = self.compose("run", "--rm", "--no-deps", "-T", "init", "cat", "/volumes/secrets/app/broker-url").strip()
        return url.replace("@redis:6379", f"@127.0.0.1:{self.ports['redis']}")

    def leftovers(self):
        """Return the remaining containers, volumes and networks of this project."""
        label = f"label=com.docker.compose.project={self.project}"
        commands = (("ps", "-aq"), ("volume", "ls", "-q"), ("network", "ls", "-q"))
        return [line for command in commands for line in run("docker", *command, "--filter", label).stdout.split()]


def get(url, auth=None, timeout=30):
    """Return the text at a URL; `auth` is a user name and a password."""
    request = urllib.request.Request(url)
    if auth:
        request.add_header("Authorization", "Basic " + base64.b64encode(":".join(auth).encode()).decode())
    with urllib.request.urlopen(request, timeout=timeout) as response:
        return response.read().decode()
