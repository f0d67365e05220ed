"""Lua scripts that run inside Redis: one .lua file per script, loaded once at import.

A file starts with named locals for KEYS and ARGV, and describes its reply.
"""

import pkgutil

from redis.commands.core import Script


def load_script(package: str, *names: str) -> Script:
    """Return the script in the files `NAME.lua` of a package, joined in the order of `names`.

    A name `PACKAGE:NAME` is that of a file in another package.

    The returned object is a redis-py `Script` that has no client: call it as `script(keys, args, client)`, or send its
    `sha` and `script` with EVALSHA and EVAL on a raw connection.

    Raises:
        FileNotFoundError: there is no such file.
    """
    places = [name.split(":") if ":" in name else (package, name) for name in names]
    files = [pkgutil.get_data(folder, f"{name}.lua") or b"" for folder, name in places]
    return Script(None, b"".join(files))  # type: ignore[arg-type]  # a script in bytes needs no client's encoding
