"""The `hanner` command: one module per command. Without the extra `cli` it prints how to install it.

`hanner --help` and shell completion import the module of every command, so these modules import Celery, Redis, pydantic
and other slow libraries inside functions.
"""

import os
import sys
from io import TextIOWrapper

from hanner.utils.packaging import install_hint


def main() -> None:
    """Run the command line and exit: 0 success, 1 failure, 2 wrong usage."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # the locale's encoding may lack characters of the texts
            stream.reconfigure(errors="backslashreplace")
    try:
        import typer  # noqa: F401 - an extra
    except ImportError:
        print(f"hanner's command line is an extra: {install_hint('cli')}", file=sys.stderr)
        sys.exit(2)
    from hanner.cli.app import run

    code = run()
    try:
        sys.stdout.flush()
    except OSError as error:
        if not code and not isinstance(error, BrokenPipeError):
            print(f"hanner: the output cannot be written: {error.strerror}", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the interpreter flushes again when it exits
        code = code or 1
    sys.exit(code)
