"""Lua scripts that run inside Redis: one .lua file per script, loaded once at import.

A file starts with named locals for KEYS and ARGV, and describes its reply.
"""

import pkgutil

from redis.commands.core import Script


def load_script(package: str, *names: str) -> Script:
    """Return the script in the files `NAME.lua` of a package, joined in the order of `names`.

    The returned object is a redis-py `Script` that has no client: call it as `script(keys, args, client)`, or send its
    `sha` and `script` with EVALSHA and EVAL on a raw connection.

    Raises:
        FileNotFoundError: there is no such file.
    """
    files = [pkgutil.get_data(package, f"{name}.lua") or b"" for name in names]
    return Script(None, b"".join(files))  # type: ignore[arg-type]  # a script in bytes needs no client's encoding
