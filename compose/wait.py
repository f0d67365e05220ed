"""Wait until every service of the stack is healthy, then print its addresses. Used by `make stack`.

Usage: python3 compose/wait.py docker compose -f compose/compose.yaml
"""

import json
import os
import subprocess
import sys
import time

TIMEOUT = 120
POLL_INTERVAL = 1


def output(*command: str) -> str:
    """Return the output of a command."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603 - no shell


def states(compose: list[str]) -> dict[str, str]:
    """Return the health of the stack's running containers by name, without those that have no health check."""
    ids = output(*compose, "ps", "-q").split()
    found = json.loads(output("docker", "inspect", *ids)) if ids else []
    healths = {one["Name"].lstrip("/"): one["State"].get("Health", {}).get("Status") for one in found}
    return {name: health for name, health in healths.items() if health}


def main(compose: list[str]) -> int:
    """Wait until all containers are healthy and return the exit code."""
    began = time.monotonic()
    while time.monotonic() - began < TIMEOUT:
        found = states(compose)
        if found and set(found.values()) == {"healthy"}:
            print(f"The stack is up: {len(found)} containers, healthy after {time.monotonic() - began:.0f} s.")
            page, flower = (output(*compose, "port", *of).strip() for of in (("gateway", "8080"), ("flower", "5555")))
            print(f"  page and API  http://{page}/")
            print(f"  Flower        http://{flower}/ user hanner, password:")
            print(f"                {' '.join(compose)} exec flower cat /run/secrets/hanner/password")
            return 0
        time.sleep(POLL_INTERVAL)
    print(f"not healthy after {TIMEOUT} s: {found}; see `{' '.join(compose)} logs`", file=sys.stderr)
    return 1


def ignore_closed_output() -> None:
    """Send the rest of the output nowhere, so that `python3 wait.py … | head -1` ends without a traceback."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    try:
        exit_code = main(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        ignore_closed_output()
        exit_code = 0
    sys.exit(exit_code)
