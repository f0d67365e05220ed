"""The `hanner` command as a subprocess that is watched: it is killed when the test ends, or hangs."""

import os
import subprocess
import sys
import threading
from contextlib import contextmanager

PATIENCE = 120
"""Seconds until a command that hangs is killed."""


@contextmanager
def command(*arguments, env=None, patience=PATIENCE):
    """Start `hanner` with `arguments` and yield the process; stdout has what it says on both."""
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", "from hanner.cli import main; main()", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        env={**os.environ, **(env or {})},
    )
    watchdog = threading.Timer(patience, process.kill)
    watchdog.start()
    try:
        yield process
    finally:
        watchdog.cancel()
        process.kill()
        process.wait()
        process.stdout.close()
