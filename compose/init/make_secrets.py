"""Generate the secrets of the stack: passwords, and the user list of Redis.

It runs before the other services, in a container without a network. Existing passwords are kept. The user list is
written at each start, so that an upgrade can change the permissions.
"""

import hashlib
import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

REDIS = "redis:6379/0"
KEYS = "~hanner* ~celery* ~_kombu.binding* ~*.celery.pidbox*"
CHANNELS = "&hanner* &celery* &/0.celery.pidbox &/0.celeryev/* &/0.celeryev/worker.*"
"""What hanner and Celery name their keys and channels; see docs/how-to/redis.md. The last channel is a pattern itself,
which Redis permits only literally."""
COMMANDS = "+@all -@admin -@dangerous +info"
RULES = {
    # Users differ in their commands: all of them read results, and send and receive remote-control commands.
    "worker": f"{KEYS} {CHANNELS} {COMMANDS} +client|unblock",
    "gateway": f"{KEYS} {CHANNELS} {COMMANDS}",
    "flower": f"{KEYS} {CHANNELS} {COMMANDS}",
    "app": f"{KEYS} {CHANNELS} {COMMANDS}",
}
"""Permissions of the Redis users; `app` is for programs outside the stack."""
HEALTH_USER = "user health on nopass resetkeys resetchannels -@all +ping"
PASSWORDS = {"flower/password": "FLOWER_PASSWORD", "grafana/admin-password": "GRAFANA_PASSWORD"}
"""Passwords for people: the file, and the variable that can set it."""
DEFAULT_USER = "user default off resetpass resetkeys resetchannels -@all"


def read_or_create(path: Path, value: str) -> str:
    """Return the content of a file. If it does not exist, create it with `value`."""
    if not path.exists():
        write(path, value)
    return path.read_text("utf-8").strip()


def write(path: Path, value: str) -> None:
    """Write a file atomically; its owner and group can read it."""
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o440)
    draft.chmod(0o640)
    draft.write_text(value + "\n", "utf-8")
    draft.chmod(0o440)
    draft.replace(path)


def make(root: Path, variables: Mapping[str, str]) -> None:
    """Write the secrets of each service to its own folder.

    Args:
        root: the parent of the folders.
        variables: FLOWER_PASSWORD and GRAFANA_PASSWORD; an empty one is generated.
    """
    lines = [DEFAULT_USER, HEALTH_USER]
    for user, rules in RULES.items():
        url = read_or_create(root / user / "broker-url", f"redis://{user}:{secrets.token_urlsafe(32)}@{REDIS}")
        digest = hashlib.sha256((urlsplit(url).password or "").encode()).hexdigest()
        lines.append(f"user {user} on resetpass #{digest} resetkeys resetchannels {rules}")
    write(root / "redis" / "users.acl", "\n".join(lines))
    for file, variable in PASSWORDS.items():
        if variables.get(variable):
            write(root / file, variables[variable])
        else:
            read_or_create(root / file, secrets.token_urlsafe(18))


if __name__ == "__main__":
    make(Path(sys.argv[1]), os.environ)
