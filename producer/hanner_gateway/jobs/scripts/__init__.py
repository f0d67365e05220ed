"""The Lua scripts of the job store, one file each. Times in them are those of Redis's clock."""

from dataclasses import dataclass
from hashlib import sha1
from importlib import resources


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script.

    Attributes:
        source: Its text.
        sha: Its SHA-1 digest, for EVALSHA.
    """

    source: str
    sha: str


def load_script(package: str, name: str) -> Script:
    """Return the script in NAME.lua of a package."""
    source = (resources.files(package) / f"{name}.lua").read_text("utf-8")
    return Script(source, sha1(source.encode(), usedforsecurity=False).hexdigest())
