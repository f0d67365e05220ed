"""Wait until every service of the stack is healthy, then say where it is. Used by `make stack`.

Usage: python3 compose/wait.py docker compose -f compose/compose.yaml
"""

import json
import subprocess
import sys
import time

PATIENCE = 120
LOOK = 1


def output(*command: str) -> str:
    """Return what a command prints."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603 - no shell


def states(compose: list[str]) -> dict[str, str]:
    """Return by name how each of the stack's running containers is; those without a health check are left out."""
    ids = output(*compose, "ps", "-q").split()
    found = json.loads(output("docker", "inspect", *ids)) if ids else []
    healths = {one["Name"].lstrip("/"): one["State"].get("Health", {}).get("Status") for one in found}
    return {name: health for name, health in healths.items() if health}


def main(compose: list[str]) -> int:
    """Wait, and return the exit code."""
    began = time.monotonic()
    while time.monotonic() - began < PATIENCE:
        found = states(compose)
        if found and set(found.values()) == {"healthy"}:
            print(f"The stack is up: {len(found)} containers, healthy after {time.monotonic() - began:.0f} s.")
            page, flower = (output(*compose, "port", *of).strip() for of in (("gateway", "8000"), ("flower", "5555")))
            print(f"  page and API  http://{page}/")
            print(f"  Flower        http://{flower}/ user hanner, password:")
            print(f"                {' '.join(compose)} exec flower cat /run/secrets/hanner/password")
            return 0
        time.sleep(LOOK)
    print(f"Not healthy after {PATIENCE} s: {found}; look at {' '.join(compose)} logs", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
