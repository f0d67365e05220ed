"""Make what the stack's parts must not share with the world: passwords, and Redis' list of users.

Runs once before all else, in a container without a network. What is there is kept, so that a restart changes no
password; the list of users is written anew each time, so that an upgrade may change what they are allowed.
"""

import hashlib
import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

REDIS = "redis:6379/0"
RULES = {
    # Redis is hanner's alone, so users differ in what they may do, not in which keys they see.
    "worker": "~* &* +@all -@admin -@dangerous +info +client|unblock",
    "gateway": "~* &* +@all -@admin -@dangerous +info",
    "flower": "~* &* +@all -@admin -@dangerous +info",
    "app": "~* &* +@all -@admin -@dangerous +info",
}
"""What each user of Redis may do; `app` is for programs outside of the stack."""
HEALTH = "user health on nopass resetkeys resetchannels -@all +ping"
PASSWORDS = {"flower/password": "FLOWER_PASSWORD", "grafana/admin-password": "GRAFANA_PASSWORD"}
"""Passwords that people type: file and the variable that gives one."""
NOBODY = "user default off resetpass resetkeys resetchannels -@all"


def kept(path: Path, value: str) -> str:
    """Return what a file holds; it is made with `value` first if it is not there."""
    if not path.exists():
        write(path, value)
    return path.read_text("utf-8").strip()


def write(path: Path, value: str) -> None:
    """Write a file in one step, so that none is ever half there; its owner and group may read it."""
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o440)
    draft.chmod(0o640)
    draft.write_text(value + "\n", "utf-8")
    draft.chmod(0o440)
    draft.replace(path)


def make(root: Path, given: Mapping[str, str]) -> None:
    """Fill the folders under `root`: one for each service, which gets no other.

    Args:
        root: the folder.
        given: FLOWER_PASSWORD and GRAFANA_PASSWORD; each is made up when it is empty.
    """
    lines = [NOBODY, HEALTH]
    for user, rules in RULES.items():
        url = kept(root / user / "broker-url", f"redis://{user}:{secrets.token_urlsafe(32)}@{REDIS}")
        digest = hashlib.sha256((urlsplit(url).password or "").encode()).hexdigest()
        lines.append(f"user {user} on resetpass #{digest} resetkeys resetchannels {rules}")
    write(root / "redis" / "users.acl", "\n".join(lines))
    for file, variable in PASSWORDS.items():
        if given.get(variable):
            write(root / file, given[variable])
        else:
            kept(root / file, secrets.token_urlsafe(18))


if __name__ == "__main__":
    make(Path(sys.argv[1]), os.environ)
