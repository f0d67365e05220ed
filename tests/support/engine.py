"""The stack in containers, as a user brings it up from a fresh clone: compose files, and what Docker says of them."""

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
HEALTHY_WITHIN = 180
"""Seconds until a stack that does not become healthy fails the test."""
SETTLED_WITHIN = 60


def run(*command, check=True, **kwargs):
    """Run a command to its end; what it printed is in the error if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **kwargs)
    assert not check or done.returncode == 0, f"{' '.join(command)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


@cache
def composes():
    """Return the command lines of all Compose versions that are installed: v2 first."""
    found = []
    with suppress(OSError):
        if subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode == 0:
            found.append(("docker", "compose"))
    if given := os.environ.get("DOCKER_COMPOSE"):
        found.extend((path,) for path in given.split(os.pathsep))
    elif shutil.which("docker-compose"):
        found.append(("docker-compose",))
    return found


def engine_answers():
    """Tell whether there is a Docker engine to talk to."""
    return shutil.which("docker") is not None and run("docker", "info", check=False).returncode == 0


def clone(folder):
    """Copy what git has and would take of the working tree, so that nothing else can be needed."""
    listed = run("git", "ls-files", "-co", "--exclude-standard", "-z", cwd=ROOT).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


class Engine:
    """One stack: a clone, a project name and ports of its own.

    Args:
        folder: the clone.
        project: the project's name.
        profiles: profiles of compose.yaml to bring up besides.
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
        self._compose = [*composes()[0], *(part for file in files for part in ("-f", str(file)))]
        self._compose += [part for profile in profiles for part in ("--profile", profile)]

    def compose(self, *arguments, check=True, env=None):
        """Run Compose on this stack, with these variables besides, and return what it printed."""
        return run(*self._compose, *arguments, check=check, env=self._env | (env or {}), cwd=self.folder).stdout

    def containers(self, service):
        """Return the ids of a service's running containers."""
        return self.compose("ps", "-q", service).split()

    def container(self, service):
        """Return the id of the one container of a service."""
        (found,) = self.containers(service)
        return found

    def inspect(self, service):
        """Return what Docker says of a service's containers."""
        return json.loads(run("docker", "inspect", *self.containers(service)).stdout)

    def execute(self, service, *command, check=True):
        """Run a command in the first container of a service; return what it printed."""
        return run("docker", "exec", self.containers(service)[0], *command, check=check).stdout

    def wait_healthy(self, *services):
        """Wait until every container of some services is healthy; return after how many seconds."""
        began = time.monotonic()
        while time.monotonic() - began < HEALTHY_WITHIN:
            healths = {
                (service, one["Id"][:12]): one["State"]["Health"]["Status"]
                for service in services
                for one in self.inspect(service)
            }
            if set(healths.values()) == {"healthy"}:
                return time.monotonic() - began
            time.sleep(0.5)  # Docker tells of health by no event that both Compose versions pass on
        raise AssertionError(f"not healthy: {healths}\n{self.compose('logs', '--no-color', '--tail', '40')}")

    def url(self, service, path=""):
        """Return a service's address on this machine."""
        return f"http://127.0.0.1:{self.ports[service]}{path}"

    def broker_url(self):
        """Return Redis' address for programs on this machine, as the README says to find it."""
        url = self.compose("run", "--rm", "--no-deps", "-T", "init", "cat", "/volumes/secrets/app/broker-url").strip()
        return url.replace("@redis:6379", f"@127.0.0.1:{self.ports['redis']}")

    def leftovers(self):
        """Return what of this project Docker still has: containers, volumes, networks."""
        label = f"label=com.docker.compose.project={self.project}"
        commands = (("ps", "-aq"), ("volume", "ls", "-q"), ("network", "ls", "-q"))
        return [line for command in commands for line in run("docker", *command, "--filter", label).stdout.split()]


def get(url, auth=None, timeout=30):
    """Fetch a page, as a user with a password if `auth` has both; return its text."""
    request = urllib.request.Request(url)
    if auth:
        request.add_header("Authorization", "Basic " + base64.b64encode(":".join(auth).encode()).decode())
    with urllib.request.urlopen(request, timeout=timeout) as answer:
        return answer.read().decode()
