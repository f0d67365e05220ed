"""Lua scripts that run inside Redis: one .lua file per script, loaded once at import.

A file starts with named locals for KEYS and ARGV, and says what it returns.
"""

import hashlib
import pkgutil
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script.

    Attributes:
        source: Its text, for EVAL.
        sha: SHA-1 of the source, for EVALSHA on a raw connection or in a pipeline.
    """

    source: str
    sha: str

    def __call__(self, client: Any, keys: Sequence[Any], args: Sequence[Any]) -> Any:
        """Run the script with a client of redis-py, and load it first if Redis does not have it.

        Errors of redis-py pass through. With an asyncio client the result is awaitable.
        """
        return client.register_script(self.source)(keys=keys, args=args)


def load_script(package: str | None, name: str) -> Script:
    """Return the script in the file `name`.lua of a package.

    Raises:
        FileNotFoundError: there is no such file.
    """
    content = pkgutil.get_data(package or "", f"{name}.lua")
    assert content is not None
    return Script(content.decode(), hashlib.sha1(content, usedforsecurity=False).hexdigest())
