"""Generate the secrets of the stack: passwords, and the user list of Redis.

    make_secrets.py FOLDER                  generate what is missing; `init` does this at each start
    make_secrets.py FOLDER renew USER...    generate new passwords for users of Redis, or for everyone
    make_secrets.py FOLDER set SECRET       store a secret from standard input, so that it is in no variable

It runs in a container without a network. The user list is written each time, so that an upgrade can change the
permissions. The previous password of a renewed user stays valid until the list is written again without `renew`.
"""

import hashlib
import os
import secrets
import sys
from collections.abc import Mapping, Sequence
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
    "admin": "~* &* +@all",
}
"""Permissions of the Redis users; `app` is for programs outside the stack, `admin` for backups and administration."""
HEALTH_USER = "user health on nopass resetkeys resetchannels -@all +ping"
PASSWORDS = {"flower/password": "FLOWER_PASSWORD", "grafana/admin-password": "GRAFANA_PASSWORD"}
"""Passwords for people: the file, and the variable that can set it."""
OWN_URL = "own-broker-url"
SETTABLE = {
    "flower-password": ["flower/password"],
    "grafana-password": ["grafana/admin-password"],
    "api-keys": ["gateway/api-keys"],
    "otlp-headers": ["worker/otlp-headers", "gateway/otlp-headers"],
    "broker-url": [f"{user}/{OWN_URL}" for user in ("worker", "gateway", "flower", "app")],
}
"""Secrets that `set` stores, and their files. `broker-url` is that of a Redis outside the stack."""
DEFAULT_USER = "user default off resetpass ~* &* +@all"
"""No client can log in as this user. It has all permissions because Redis before 8.6 loads its append-only file as this
user, and would skip every transaction that it is not permitted to run."""


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


def digest_of(url: str) -> str:
    """Return the digest of the password in a URL, as the user list has it."""
    return "#" + hashlib.sha256((urlsplit(url).password or "").encode()).hexdigest()


def make(root: Path, variables: Mapping[str, str], renewed: Sequence[str] = ()) -> None:
    """Write the secrets of each service to its own folder.

    Args:
        root: the parent of the folders.
        variables: FLOWER_PASSWORD and GRAFANA_PASSWORD; an empty one is generated.
        renewed: users of Redis that get a new password. Their previous one is valid too, until the next call.
    """
    lines = [DEFAULT_USER, HEALTH_USER]
    for user, rules in RULES.items():
        file, fresh = root / user / "broker-url", f"redis://{user}:{secrets.token_urlsafe(32)}@{REDIS}"
        url, previous = read_or_create(file, fresh), root / user / "previous-url"
        digests = {digest_of(url)}
        previous.unlink(missing_ok=True)
        if user in renewed:
            write(previous, url)  # with the administrator's, admin.sh lets Redis read the new user list
            write(file, fresh)
            digests.add(digest_of(fresh))
        lines.append(f"user {user} on resetpass {' '.join(sorted(digests))} resetkeys resetchannels {rules}")
    write(root / "redis" / "users.acl", "\n".join(lines))
    for path, variable in PASSWORDS.items():
        if variables.get(variable):
            write(root / path, variables[variable])
        else:
            read_or_create(root / path, secrets.token_urlsafe(18))


def main(root: Path, command: str = "", *names: str) -> int:
    """Run a command, and return the exit code."""
    known = {"": (), "renew": RULES, "set": SETTABLE}
    if command not in known or not set(names) <= set(known[command]) or (command == "set" and len(names) != 1):
        choices = "renew [{}], or set {}".format("|".join(RULES), "|".join(SETTABLE))
        print(f"{' '.join((command, *names))}: unknown; commands: {choices}", file=sys.stderr)
        return 2
    if command == "set" and not (value := sys.stdin.read().strip()):
        print(f"{names[0]} must not be empty: pass it on standard input", file=sys.stderr)
        return 2
    make(root, os.environ, (names or tuple(RULES)) if command == "renew" else ())
    if command == "set":
        for file in SETTABLE[names[0]]:
            write(root / file, value)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), *sys.argv[2:]))
